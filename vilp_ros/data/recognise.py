"""What a file or folder is that somebody brings, and which command brings it in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py

from vilp_ros.data.hdf5 import open_hdf5, sentences
from vilp_ros.errors import VilpError


class Found(NamedTuple):
    """A dataset of another project.

    Attributes:
        source: its format, as `vilp convert --from` says it.
        about: what it is, in a phrase.
        how: the commands that bring it in.
    """

    source: str
    about: str
    how: list[str]


def recognise(path: Path) -> Found | None:
    """What `path` is; None for our own datasets, bags and whatever is unknown.

    Raises:
        VilpError: it is one of those, and cannot be read.
    """
    if path.is_file():
        return _file(path)
    if (path / "meta/info.json").is_file():
        return _lerobot(path)
    if (path / "meta/episode_ends/.zarray").is_file():
        convert = f"vilp convert {path} --from zarr --out mine.hdf5 --task TASK"
        return Found("zarr", "a replay buffer of diffusion_policy (zarr)", [convert])
    return _videos(path) if path.is_dir() else None


def draft(path: Path) -> str:
    """A map of a dataset, as a draft.

    Raises:
        VilpError: it is none that a map is for, or it cannot be read.
    """
    found = recognise(path)
    if found and found.source == "lerobot":
        from vilp_ros.data.lerobot.reading import draft as of_lerobot

        return of_lerobot(path)
    if found and found.source == "videos":
        from vilp_ros.data.video_folder import draft as of_videos

        return of_videos(path)
    what = f"is {found.about}" if found else "is neither"
    raise VilpError(f"a map is for LeRobot datasets and folders of videos; {path} {what}")


def _file(path: Path) -> Found | None:
    if not h5py.is_hdf5(path):
        return None
    with open_hdf5(path) as file, sentences(path):
        theirs = "data" in file and "env_args" in file["data"].attrs
        ours = "data" in file and "control_period_s" in file["data"].attrs
        count = len(file["data"]) if theirs else 0
    if not theirs or ours:
        return None
    convert = f"vilp convert {path} --from robomimic --out mine.hdf5"
    return Found("robomimic", f"a robomimic file, {count} episodes", [convert])


def _lerobot(path: Path) -> Found:
    from vilp_ros.data.lerobot.folder import LeRobotFolder
    from vilp_ros.data.lerobot.reading import about, our_map

    folder = LeRobotFolder(path)
    convert = f"vilp convert {path} --from lerobot --out mine.hdf5"
    if our_map(folder) is not None:
        return Found("lerobot", about(folder), [convert])
    draft_first = f"vilp data {path} --map > my_map.yaml"
    return Found("lerobot", about(folder), [draft_first, f"{convert} --map my_map.yaml"])


def _videos(path: Path) -> Found | None:
    from vilp_ros.data.video_folder import VideoFolder, about

    if any(path.rglob("metadata.yaml")):  # a folder of bags
        return None
    try:
        folder = VideoFolder(path)
    except VilpError:
        return None
    convert = f"vilp convert {path} --from videos --out mine.hdf5 --task TASK"
    return Found("videos", about(folder), [convert])
