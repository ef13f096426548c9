"""Draws recorded episodes of the simulator again, in other looks, beside how they were seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile, require_origins
from vilp_ros.data.pairs import usual
from vilp_ros.errors import VilpError
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.look import training_look


def redraw(
    sources: Sequence[Path],
    path: Path,
    strength: float = 1.0,
    seed: int = 0,
    every: str = "frame",
    stride: int = 1,
) -> int:
    """Writes episodes whose views are drawn in varied looks, and `usual(view)` as recorded.

    Goes on where it was cut off. Nothing is simulated: what is drawn are the recorded states.

    Args:
        sources: files of `vilp collect`, in the usual look.
        path: HDF5 file, made or continued.
        strength: of the looks, see `training_look`.
        seed: of the looks.
        every: `frame`, a look for each frame, or `episode`, one for a whole episode.
        stride: draw each how many-th frame; more than 1 leaves the actions out.

    Returns:
        Frames drawn now.

    Raises:
        VilpError: a file without states (not recorded in the simulator, or by an older version),
            in a varied look, or with pairs already; files that differ in task, views, size,
            period or range of depth; other looks than those that `path` holds.
    """
    if stride < 1:
        raise VilpError(f"stride is {stride}: at least 1")
    if not 0 < strength < math.inf or seed < 0:
        raise VilpError(f"strength is {strength}, seed {seed}: above 0, and at least 0")
    looks = f"strength {float(strength)}, seed {seed}, every {every}"
    files = [EpisodeFile(source) for source in sources]
    for file in files:
        if not len(file) or file.read(0, ()).states is None:
            raise VilpError(
                f"{file.path} holds no states to draw again: record it with `vilp collect`; of a "
                "real arm alter the pictures alone (section `robust` of the recipe)"
            )
        if any(usual(view) in file.views for view in file.views):
            raise VilpError(f"{file.path} has been drawn again already: name what it was made of")
        if looks_there := file.notes("vary") - {"0.0"}:
            raise VilpError(
                f"{file.path} was recorded in varied looks (--vary {looks_there.pop()}), which "
                "would be taken for the usual one: collect it without --vary, or, for pairs in one "
                "go, with --vary and --usual"
            )
    views, drawn = files[0].views, 0
    height, width = _alike(files)
    total = sum(len(file) for file in files)
    with (
        EpisodeWriter(
            path,
            task=files[0].task,
            control_period_s=stride * files[0].control_period_s,
            depth_range_m=files[0].depth_range_m,
        ) as writer,
        closing(
            SimEnv(
                files[0].task,
                views=views,
                size=(height, width),
                depth_range_m=files[0].depth_range_m,
            )
        ) as env,
        tqdm(total=total, desc="redraw", unit="episode") as bar,
    ):
        done = require_origins(writer.notes("drawn_from"), path)
        if others := writer.notes("looks") - {looks}:
            raise VilpError(
                f"{path} holds looks of {others.pop()}, not of {looks}: choose another --out"
            )
        for file in files:
            for index in range(len(file)):
                name = file.origin(index)
                if name not in done:
                    episode = _thinned(file[index], stride)
                    key = (seed, episode.seed, index)
                    varied = _varied(env, episode, strength, key, every, name)
                    varied.info["looks"] = looks
                    writer.add(varied)
                    drawn += len(episode) + 1
                bar.update()
    return drawn


def _alike(files: Sequence[EpisodeFile]) -> tuple[int, int]:
    """Size (H, W) of all frames.

    Raises:
        VilpError: the files cannot be drawn into one.
    """
    first = files[0]
    size = first.shape(0, first.views[0])[1:3]
    for file in files:
        for key in ("task", "views", "control_period_s", "depth_range_m"):
            if (found := getattr(file, key)) != (wanted := getattr(first, key)):
                raise VilpError(
                    f"{file.path} has {key} {found}, {first.path} {wanted}: draw them into a file "
                    "each"
                )
        for index in range(len(file)):
            sizes = file.sizes(index)
            for view in first.views:
                if (other := sizes.get(view, (0, 0))) != size:
                    raise VilpError(
                        f"episode {index} of {file.path}: {view} has frames of "
                        f"{other[0]}x{other[1]}, others {size[0]}x{size[1]}"
                    )
    return size[0], size[1]


def _thinned(episode: Episode, stride: int) -> Episode:
    """Each `stride`-th frame, without actions, which belong to a control period."""
    if stride == 1:
        return episode
    of_frames = ("ee_pose", "gripper_width", "joint_position", "joint_velocity", "states")
    rows = {key: getattr(episode, key)[::stride] for key in of_frames}
    return replace(
        episode,
        images={view: frames[::stride] for view, frames in episode.images.items()},
        **rows,
        actions=None,
        role="action_free",
        disturbed=np.zeros(len(rows["states"]) - 1, bool),
        before=None,
    )


def _varied(
    env: SimEnv, episode: Episode, strength: float, key: tuple[int, ...], every: str, name: str
) -> Episode:
    images: dict[str, list[np.ndarray]] = {view: [] for view in env.views}
    assert episode.states is not None, "checked"
    for step, state in enumerate(episode.states):
        env.place(state)
        if step == 0 or every == "frame":
            rng = np.random.default_rng([*key, step])
            env.wear(training_look(rng, env.parts, strength))
        for view, image in env.observe().images.items():
            images[view].append(image)
    varied = {view: np.stack(frames) for view, frames in images.items()}
    as_seen = {usual(view): frames for view, frames in episode.images.items()}
    return replace(episode, images=varied | as_seen, info=episode.info | {"drawn_from": name})
