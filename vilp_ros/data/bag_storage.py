"""Which files a bag consists of, and what its metadata.yaml says, where there is one."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple

from backports import zstd  # which rosbags brings
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from vilp_ros.contract.readers import parse_yaml

READERS: Mapping[str, Any] = {".mcap": McapReader, ".db3": Sqlite3Reader}
JOURNAL = "recording.json"
"""Lies in a bag while it is written: what the metadata will say, and how far the writer was."""
METADATA = "metadata.yaml"


class StorageError(Exception):
    """What is wrong with the files of a bag, as a phrase."""


class CutOffError(StorageError):
    """A recording that was never finished."""


class EmptyError(StorageError):
    """Files without a single byte."""


class BusyError(StorageError):
    """A recording that goes on."""


class Storage(NamedTuple):
    """Of one bag.

    Attributes:
        files: in order of time.
        metadata: `rosbag2_bagfile_information` of metadata.yaml; None where there is none.
        messages_compressed: whether each message is, by zstd.
    """

    files: list[Path]
    metadata: dict[str, Any] | None
    messages_compressed: bool


def storage_of(path: Path) -> Storage:
    """Finds the files of a bag.

    Args:
        path: its folder, or one file.

    Raises:
        BusyError: it is being written.
        EmptyError: there is not a byte in its files.
        CutOffError: it was never finished.
        StorageError: its metadata cannot be read, or a file is missing.
    """
    there = [path] if path.is_file() else files_in(path)
    journal = (path / JOURNAL).exists()
    if journal and any(_locked(file) for file in there):
        raise BusyError("is being recorded: end that first")
    if there and not any(file.stat().st_size for file in there):
        raise EmptyError("is empty (0 bytes) and holds nothing to save")
    if path.is_file():
        return Storage([path], None, False)
    if journal:
        raise CutOffError("was cut off while it was recorded")
    info = read_metadata(path)
    if info is None:
        return Storage(there, None, False)
    names = [Path(str(name)).name for name in _list(info.get("relative_file_paths"))]
    files = [path / name for name in names]
    if missing := [file.name for file in files if not file.is_file()]:
        if len(files) != 1 or len(there) != 1:  # the only one was renamed
            raise StorageError(f"{missing[0]} of {METADATA} is missing; there are {len(there)}")
        files = there
    return Storage(files or there, info, str(info.get("compression_mode")).lower() == "message")


def read_metadata(path: Path) -> dict[str, Any] | None:
    """`rosbag2_bagfile_information` of a folder; None where it has no metadata.yaml.

    Raises:
        StorageError: it cannot be read.
    """
    file = path / METADATA
    if not file.is_file():
        return None
    try:
        info = parse_yaml(file.read_text(encoding="utf-8"), METADATA)
        info = info["rosbag2_bagfile_information"]
    except Exception as error:  # whatever its parser says of what is no metadata
        raise StorageError(f"{METADATA} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(info, dict):
        raise StorageError(f"{METADATA} says nothing of a bag")
    return info


def labels_of(info: Mapping[str, Any]) -> dict[str, str]:
    """The `custom_data` of a bag's metadata, as text."""
    labels = info.get("custom_data")
    return {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {}


def counts_of(info: Mapping[str, Any]) -> dict[str, int]:
    """Messages by topic, as a bag's metadata promise them.

    Raises:
        StorageError: they are no counts of topics.
    """
    counts: dict[str, int] = {}
    try:
        for topic in info.get("topics_with_message_count") or []:
            name = str(topic["topic_metadata"]["name"])
            counts[name] = counts.get(name, 0) + int(topic["message_count"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StorageError(f"{METADATA} has topics without a name or a count") from None
    return counts


def bags_at(path: Path) -> list[Path]:
    """The bag that a folder or file is; several where a folder holds single files; or none."""
    if path.is_file():
        return [path] if path.suffix in READERS else []
    files = files_in(path)
    if (path / METADATA).is_file() or (path / JOURNAL).exists() or len(files) == 1:
        return [path]
    parts = all(re.fullmatch(rf"{re.escape(path.name)}_\d+", file.stem) for file in files)
    return [path] if files and parts else files


@contextmanager
def unpacked(files: list[Path]) -> Iterator[list[Path]]:
    """The same files, where one was compressed as a whole (`.mcap.zstd`) a copy that is not."""
    with TemporaryDirectory() as scratch:
        plain = []
        for file in files:
            if file.suffix != ".zstd":
                plain.append(file)
                continue
            plain.append(Path(scratch, file.stem))
            with zstd.open(file, "rb") as source, plain[-1].open("wb") as sink:
                shutil.copyfileobj(source, sink)
        yield plain


def files_in(path: Path) -> list[Path]:
    """Storage files, in the order of their numbers."""
    found = [p for p in path.glob("*") if p.suffix in READERS or p.name.endswith(".mcap.zstd")]
    return sorted(found, key=lambda p: [int(n) if n.isdigit() else n for n in _words(p.name)])


def lock(file: IO[bytes]) -> None:
    """Marks a file as being written, until it is closed or its process ends."""
    with suppress(OSError):  # not every file system can
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def _words(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
