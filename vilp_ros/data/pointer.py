"""Files that are not there: missing, empty, or a pointer that git-lfs left in their place."""

from __future__ import annotations

from pathlib import Path

from vilp_ros.data.hdf5 import DatasetError

_POINTER = b"version https://git-lfs"


def check_whole(path: Path) -> None:
    """Raises DatasetError that says what stands where the file should be."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing: fetch the whole dataset")
    with path.open("rb") as file:
        head = file.read(len(_POINTER))
    if head == _POINTER:
        raise DatasetError(f"{path} is a pointer of git-lfs in place of the file: `git lfs pull`")
    if not head:
        raise DatasetError(f"{path} is empty: fetch the dataset again")
