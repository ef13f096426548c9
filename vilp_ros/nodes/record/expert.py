"""The scripted expert demonstrates in the simulator, episode after episode."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.status import Status

from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.recording import Library
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.errors import VilpError
from vilp_ros.figures import write_figures
from vilp_ros.nodes.record.remote import Remote, live, say
from vilp_ros.nodes.record.settings import Settings


def conduct(settings: Settings, remote: Remote, console: Console, line: Status) -> int:
    """Has the scripted expert demonstrate until the folder holds enough episodes.

    Returns:
        Exit code.
    """
    from vilp_ros.sim.task import load_task

    task = load_task(settings.task)
    library, modes = Library(settings.out), task.modes
    drop_unfinished(library)
    jobs = _jobs(library, settings.seed_start, len(modes))
    limit_s = 60 + 4 * task.max_steps * 0.05
    remote.wait(lambda: remote.sim, "the simulator")
    remote.set("sim", expert_noise=settings.noise)
    kept: list[dict[str, Any]] = []
    began_s, discarded = time.monotonic(), 0
    while (count := len(library.episodes)) < settings.episodes:
        seed, mode = next(jobs)
        head = f"episode {count + 1}/{settings.episodes}  seed {seed}  "
        remote.on_tick = lambda head=head: line.update(head + live(remote))
        remote.set("sim", seed=seed, expert_mode=mode)
        remote.set("recorder", seed=seed, note=json.dumps({"mode": modes[mode]}))
        remote.demand("sim/reset")
        remote.sim = {}
        remote.wait(lambda seed=seed: remote.sim.get("seed") == str(seed), "the new scene")
        remote.demand("recorder/start")
        remote.demand("sim/demonstrate")
        remote.wait(lambda: remote.sim.get("expert") == "done", "the expert", limit_s)
        success = remote.sim["success"] == "True"
        message = remote.demand(f"recorder/{'success' if success else 'failure'}")
        broken = "marked broken" in message
        if success == (settings.role == "suboptimal") or broken:
            remote.demand("recorder/discard")
            discarded += 1
            message += "; " if broken else f"; the expert {'succeeded' if success else 'failed'}: "
            message += "discarded"
        else:
            kept.append({"seed": seed, "mode": modes[mode], "message": message})
        say(console, not broken, message)
    seconds = time.monotonic() - began_s
    told = f"{settings.out}: {len(library.episodes)} episodes of {settings.task}"
    console.print(f"{told} ({settings.role}), {discarded} discarded, {seconds:.0f} s")
    body = {"kept": kept, "discarded": discarded, "seconds": seconds}
    write_figures(settings.json, body)
    return 0


def drop_unfinished(library: Library) -> None:
    """Discards what was cut off: half a demonstration of a scripted expert is none."""
    for path in library.episodes:
        try:
            with Bag(path) as bag:
                labels = bag.labels
        except BagError:  # killed
            library.discard(path)
            continue
        if labels.get("outcome") == "unlabelled" and int(labels.get("seed", -1)) >= 0:
            library.discard(path)


def _jobs(library: Library, seed_start: int, modes: int) -> Iterator[tuple[int, int]]:
    """Seed and way of each episode; goes on behind the last one that is there."""
    seed = seed_start
    if there := library.episodes:
        with Bag(there[-1]) as bag:
            seed = int(bag.labels.get("seed", seed_start - 1)) + 1
    while True:
        if seed >= VALIDATION_SEEDS:
            raise VilpError(f"seeds from {VALIDATION_SEEDS} on are for evaluation")
        yield from ((seed, mode) for mode in range(modes))
        seed += 1
