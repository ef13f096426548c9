"""A folder of videos alone: an episode each, without a state and without actions.

`FOLDER/*.mp4` is one view; `FOLDER/VIEW/*.mp4` are several: files of one name belong together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from vilp_ros.data.columns import Import, Meta, Reading, named
from vilp_ros.data.digest import digest_files
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.mapping.column_map import ColumnMap, ViewMap, bare_name
from vilp_ros.data.mapping.draft import draft_map
from vilp_ros.data.mapping.episode import Mapper
from vilp_ros.data.mapping.rows import Rows
from vilp_ros.data.scaling import Size, fitting_size
from vilp_ros.data.video_file import SUFFIXES, describe, frame_times, read_clip
from vilp_ros.errors import VilpError

CONTROL_PERIOD_S = 0.1
ONLY_VIEW = "video"
"""Key of the one view whose files lie in the folder itself."""


class VideoFolder:
    """Which files belong together.

    Args:
        path: the folder.

    Attributes:
        views: key of each to its files by name.

    Raises:
        DatasetError: no videos, or views that have no file in common.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise DatasetError(f"{path} is no folder: name one that holds videos")
        here = _videos(path)
        below = {f.name: _videos(f) for f in sorted(path.iterdir()) if f.is_dir()}
        self.views = {ONLY_VIEW: here} if here else {k: v for k, v in below.items() if v}
        if not self.views:
            raise DatasetError(
                f"{path} holds no video ({', '.join(SUFFIXES)}), neither itself nor in a folder a "
                "view"
            )
        together = set.intersection(*(set(files) for files in self.views.values()))
        self.names = sorted(set().union(*self.views.values()))
        if not together:
            raise DatasetError(f"{path}: views {', '.join(self.views)} have no file name in common")

    def describe(self, key: str) -> tuple[Size, float, str]:
        """Size, frames a second and codec of a view: of its first file that can be read.

        Raises:
            VilpError: none can be.
        """
        error: VilpError = DatasetError(f"{self.path}: view {key} has no file")
        for file in self.views[key].values():
            try:
                return describe(file)
            except VilpError as found:
                error = found
        raise error

    def rows(self, name: str) -> Rows:
        """The episode of one file name.

        Raises:
            VilpError: a view lacks it, or it cannot be decoded.
        """
        missing = [key for key, files in self.views.items() if name not in files]
        if missing:
            raise DatasetError(f"{self.path}: {name} is missing in view {', '.join(missing)}")
        files = {key: files[name] for key, files in self.views.items()}
        times = {key: frame_times(file) for key, file in files.items()}
        key = min(times, key=lambda k: times[k][-1] if len(times[k]) else 0.0)
        stamps = times[key]  # of the shortest, so that every view has pictures throughout

        def frames(wanted: str, picks: np.ndarray, size: Size) -> np.ndarray:
            clip = read_clip(files[wanted], size)
            nearest = np.abs(clip.times[None] - stamps[picks][:, None]).argmin(1)
            return clip.frames[nearest]

        where, info = f"{self.path / name}", {"video": name}
        return Rows(where, stamps, {}, {}, frames, "", {"info": info})


def read(
    path: Path,
    task: str = "",
    column_map: ColumnMap | None = None,
    only: Collection[int] | None = None,
) -> Reading:
    """Episodes of a folder of videos, each `action_free`.

    Args:
        path: the folder.
        task: what was done.
        column_map: control period and sizes of views; 10 Hz and `fitting_size` without one.
        only: numbers of the files that are wanted, in the order of their names.

    Raises:
        VilpError: no videos, or nobody says what was done.
    """
    folder = VideoFolder(path)
    given = column_map or ColumnMap(CONTROL_PERIOD_S, _views(folder))
    if given.pose or given.joints or given.gripper or given.action:
        raise DatasetError(f"{path} holds videos only: its map can have views, no columns")
    if not (said := task or given.task or ""):
        raise DatasetError(f"{path} does not say what was done: name it with --task")
    names = [name for k, name in enumerate(folder.names) if only is None or k in only]
    notes = [f"{path}: videos alone: {lack}" for lack in Mapper(given).lacks()]
    meta = Meta(said, given.control_period_s)
    return Reading(meta, _episodes(folder, names, Mapper(given)), notes)


def _episodes(
    folder: VideoFolder, names: list[str], mapper: Mapper
) -> Iterator[Import | VilpError]:
    for name in names:
        where = str(folder.path / name)
        try:
            episode = mapper.episode(folder.rows(name))
            episode.check(where=where)
        except VilpError as error:
            yield named(error, folder.path, where)
            continue
        files = (folder.views[key][name] for key in sorted(folder.views))
        yield Import(where, f"{name}:{digest_files(files)}", episode)


def draft(path: Path) -> str:
    """A map of the folder as a draft.

    Raises:
        VilpError: no videos, or the first of a view cannot be read.
    """
    folder = VideoFolder(path)
    views = [(key, folder.describe(key)[0]) for key in folder.views]
    return draft_map(about(folder), path, "videos", 1 / CONTROL_PERIOD_S, views)


def about(folder: VideoFolder) -> str:
    """The folder in a phrase."""
    words = []
    for key in folder.views:
        (height, width), rate_hz, codec = folder.describe(key)
        words.append(f"{bare_name(key)} {height}x{width} {rate_hz:g} Hz {codec}")
    return f"a folder of {len(folder.names)} videos, views {', '.join(words)}"


def _views(folder: VideoFolder) -> dict[str, ViewMap]:
    sizes = {key: folder.describe(key)[0] for key in folder.views}
    return {bare_name(key): ViewMap(key, fitting_size(*size)) for key, size in sizes.items()}


def _videos(folder: Path) -> dict[str, Path]:
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in SUFFIXES)
    return {file.stem: file for file in files}
