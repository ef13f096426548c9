"""The demo: starts the node table, has episodes run and recorded, writes the run folder."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.status import Status

from vilp_ros.contract import Contract
from vilp_ros.contract.readers import parse_yaml, read
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.bench import machine
from vilp_ros.evaluation.demo.run_file import save_episode
from vilp_ros.evaluation.demo.run_report import (
    EpisodeLog,
    episode_line,
    save_strip,
    save_video,
    summary,
    table,
)
from vilp_ros.figures import write_figures
from vilp_ros.nodes.demo.recorder import DemoRecorder, PipelineError, TooSlowError
from vilp_ros.nodes.demo.world_clock import WorldClock
from vilp_ros.ros.domain import keep_apart
from vilp_ros.ros.graph import Process, parse, processes
from vilp_ros.ros.supervisor import Supervisor
from vilp_ros.sim import TASKS

FIXED = {
    "namespace": "",
    "sim": "true",
    "enabled": "false",  # until an episode begins
    "autostart": "true",
    "use_respawn": "false",
    "use_sim_time": "false",  # as long as it is real time, ages are of the system clock
}
SLOWEST = 1 / 16


@dataclass(frozen=True)
class Settings:
    """What the user asked for; see `vilp demo --help`."""

    episodes: int
    model: str
    task: str | None
    seed_start: int
    timeout_s: float | None
    speed: float | None
    runs: Path
    json: Path | None
    words: tuple[str, ...]


class RunFolder:
    """runs/<time>/, linked as runs/latest, with a log file per node.

    Attributes:
        path: the folder.
        death: the first node that ended by itself, and how; None while all live.
    """

    def __init__(self, runs: Path) -> None:
        self.path = runs / time.strftime("%Y%m%d_%H%M%S")
        (self.path / "logs").mkdir(parents=True, exist_ok=True)
        fresh = runs / f".latest_{os.getpid()}"
        fresh.symlink_to(self.path.name)
        fresh.replace(runs / "latest")
        self.death: tuple[str, str] | None = None

    def log_of(self, node: str) -> Path:
        """Log file of a node; absent while it said nothing."""
        return self.path / "logs" / f"{node}.log"

    def log(self, line: str) -> None:
        """Takes a supervisor's line `[node] text`."""
        node, _, text = line.removeprefix("[").partition("] ")
        if text.startswith("ended by itself") and self.death is None:
            self.death = (node, text.strip())
        with self.log_of(node).open("a") as file:
            file.write(text)


def run_demo(settings: Settings) -> int:
    """Runs the whole demo.

    Returns:
        Exit code: 0 if plans and commands flowed in every episode, else 1.

    Raises:
        VilpError: an argument is wrong; nothing was started.
        KeyboardInterrupt: after SIGINT or SIGTERM, when all nodes have ended.
    """
    began_s = time.monotonic()
    chosen = {
        "model": settings.model,
        "task": settings.task or "",
        "seed": str(settings.seed_start),
        "speed": str(1.0 if settings.speed is None else settings.speed),
    }
    words = parse(settings.words)
    for name in words.keys() & {*chosen, *FIXED}:
        how = f"--{name.replace('seed', 'seed-start')}" if name in chosen else "`vilp up`"
        raise VilpError(f"the demo sets {name} itself: use {how}")
    words |= chosen | FIXED
    speed = float(words["speed"])
    started = processes(words)
    parameters = {k: v for process in started for k, v in process.parameters.items()}
    spec = _spec(Path(parameters["model"]), settings.task)
    contract = Contract.load(parameters["contract"])
    if not words.get("on"):  # else half of the graph is on another host
        keep_apart()
    elif speed < 1.0:
        raise VilpError("--speed slows one host's nodes; leave out on:=")
    console, stop = Console(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder = RunFolder(settings.runs)
    try:
        while True:
            clock = WorldClock(speed)
            patient = settings.speed is not None or bool(words.get("on")) or speed <= SLOWEST
            # Who listens leaves last: the middleware crashed once in taking a listener down while
            # those it had heard were leaving.
            try:
                with (
                    _recorder(contract, spec, folder, stop, clock, patient) as recorder,
                    _living(started, folder),
                ):
                    facts = _facts(settings, contract, spec)
                    _run_episodes(settings, console, folder, recorder, facts, began_s)
                return 0
            except TooSlowError as error:
                slower = _slower(speed, error.real_time_factor)
                _say(
                    console,
                    f"this machine is too slow, or busy: at {speed:g} of real time the simulator "
                    f"came to {error.real_time_factor:.2f}; begins again at {slower:g}",
                    "yellow",
                )
                speed = slower
                started = processes(words | {"speed": str(speed)})
    except PipelineError as error:
        _say(console, f"failed: {error}", "red")
        log = folder.log_of(error.node)
        if log.is_file():
            _say(console, "\n".join(log.read_text().splitlines()[-5:]), "dim")
            _say(console, f"its log: {log}")
        return 1
    finally:
        _say(console, f"written to {folder.path}, linked as {settings.runs / 'latest'}")


def _slower(speed: float, reached: float) -> float:
    """The next speed to try: halved, until it is well below what the machine came to."""
    while speed > max(SLOWEST, 0.75 * reached):
        speed /= 2
    return speed


@contextmanager
def _living(started: list[Process], folder: RunFolder) -> Iterator[None]:
    """The nodes, all ended when one ends by itself, of which the folder is told."""
    ended = threading.Event()
    with Supervisor(started, write=folder.log) as supervisor:
        watcher = threading.Thread(target=supervisor.wait, args=(ended,))
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _spec(bundle: Path, task: str | None) -> dict[str, Any]:
    """What policy.yaml says, read without torch, with the task to run instead of its own.

    Raises:
        VilpError: there is no bundle, or the simulator does not know the task.
    """
    file = bundle / "policy.yaml"
    if not file.is_file():
        raise VilpError(f"{bundle} is no bundle: it has no policy.yaml")
    spec = parse_yaml(read(file), str(file))
    if not isinstance(spec, dict) or "task" not in spec:
        raise VilpError(f"{file} is no policy description: it names no task")
    spec["task"] = task or spec["task"]
    if spec["task"] not in TASKS:
        raise VilpError(
            f"the task of {bundle.name} is {spec['task']!r}, which is none of the simulator's: "
            f"name one of {', '.join(TASKS)} with --task, or give it a robot by "
            "`vilp up sim:=false`"
        )
    return spec


@contextmanager
def _recorder(
    contract: Contract,
    spec: dict[str, Any],
    folder: RunFolder,
    stop: threading.Event,
    clock: WorldClock,
    patient: bool,
) -> Iterator[DemoRecorder]:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    row_period_s = spec["control_period_s"] * spec["policy"].get("frame_interval", 1)
    recorder = DemoRecorder(
        contract, spec["views"], row_period_s, lambda: folder.death, stop, clock, patient
    )
    executor.add_node(recorder)
    try:
        yield recorder
    finally:
        executor.remove_node(recorder)
        recorder.destroy_node()
        executor.shutdown()
        rclpy.shutdown()


def _facts(settings: Settings, contract: Contract, spec: dict[str, Any]) -> dict[str, Any]:
    from vilp_ros.sim.task import load_task

    task = spec["task"]
    return {
        "task": task,
        "bundle": spec["name"],
        "speed_limit_m_s": contract.limits.ee_speed,
        "timeout_s": settings.timeout_s or load_task(task).max_steps * contract.control_period_s,
        "machine": machine(),
    }


def _run_episodes(
    settings: Settings,
    console: Console,
    folder: RunFolder,
    recorder: DemoRecorder,
    facts: dict[str, Any],
    began_s: float,
) -> None:
    logs: list[EpisodeLog] = []
    running: EpisodeLog | None = None
    with console.status("starting the nodes", refresh_per_second=4) as line:
        try:
            recorder.wait_ready(lambda node: line.update(f"starting the nodes: {node}"))
            facts["startup_s"] = time.monotonic() - began_s
            facts["speed"] = recorder.clock.speed
            for index in range(settings.episodes):
                running = log = EpisodeLog(settings.seed_start + index)
                name = f"episode {index + 1}/{settings.episodes}"
                recorder.on_tick = _ticker(line, log, name, facts["timeout_s"], recorder.clock)
                recorder.run_episode(log, facts["timeout_s"])
                running = None
                logs.append(log)
                _say(console, episode_line(log, index), markup=True)
                line.update(f"writing the video of episode {index + 1}")
                save_episode(log, folder.path / f"episode_{index + 1:02}.npz")
                _write_pictures(folder.path, logs, facts["task"])
                write_figures(folder.path / "summary.json", summary(logs, **facts))
        except PipelineError as error:
            if running is not None and running.began_s:
                running.failure = str(error)
                logs.append(running)
                _say(console, episode_line(running, len(logs) - 1), markup=True)
            raise
        finally:
            if logs:
                report = summary(logs, **facts)
                for path in (folder.path / "summary.json", settings.json):
                    write_figures(path, report)
                console.print(table(report))


def _say(console: Console, text: str, style: str = "none", markup: bool = False) -> None:
    """Prints a line as it is: logs hold brackets, and a path is one word however long."""
    console.print(text, style=style, markup=markup, highlight=False, soft_wrap=True)


def _ticker(
    line: Status, log: EpisodeLog, name: str, limit_s: float, clock: WorldClock
) -> Callable[[], None]:
    """Updates the live line four times a second."""
    due_s = 0.0

    def tick() -> None:
        nonlocal due_s
        if time.monotonic() < due_s:
            return
        due_s = time.monotonic() + 0.25
        if not log.began_s:
            line.update(f"{name}  seed {log.seed}  resetting")
            return
        seconds = clock.now() - log.began_s
        age = f"{1e3 * (log.commands[-1][1] - log.commands[-1][0]):.0f} ms" if log.commands else "-"
        rate = len(log.plans) / seconds
        done = "" if log.measured is None else f"{100 * log.measured:.0f} % done  "
        line.update(
            f"{name}  seed {log.seed}  {seconds:4.1f} of {limit_s:.0f} s  {done}"
            f"{rate:.1f} plans/s  command age {age}"
        )

    return tick


def _write_pictures(path: Path, logs: list[EpisodeLog], task: str) -> None:
    """The video of the last episode, and the strip of the first success (before it, of the first).

    Between episodes, when nothing is measured; frees the frames.
    """
    log, number = logs[-1], len(logs)
    name = f"vilp_ros  task {task}  episode {number}  seed {log.seed}"
    save_video(log, path / f"episode_{number:02}.mp4", name)
    first_success = log.success_s is not None and all(x.success_s is None for x in logs[:-1])
    if first_success or not (path / "strip.png").exists():
        about = "what the cameras saw, above what a latent plan had imagined for that moment"
        save_strip(log, path / "strip.png", f"{name}: {about}")
    log.images.clear()
    log.decoded.clear()
