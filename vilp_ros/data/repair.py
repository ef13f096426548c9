"""Make a bag readable again that was cut off, and say what was lost."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rosbags.interfaces import Qos
from rosbags.rosbag2.storage_mcap import get_qos

from vilp_ros.data.bag import Bag, BagError, BusyBagError, EmptyBagError, typestore
from vilp_ros.data.bag_storage import (
    JOURNAL,
    StorageError,
    counts_of,
    files_in,
    labels_of,
    read_metadata,
    storage_of,
)
from vilp_ros.data.bag_writer import BagWriter
from vilp_ros.data.mcap_records import Stored, Walk, inner_metadata, mapped


@dataclass(frozen=True)
class Repair:
    """What a repair found.

    Attributes:
        path: the bag.
        messages: how many it holds now.
        seconds: from the first to the last of them.
        lost_bytes: behind the last whole record, unpacked.
        lost_messages: which the recorder had taken and had not brought to the disk when it last
            noted; None if it left no note. Those that came in its last second are not counted.
        needed: whether anything was wrong.
        cut_off: whether the writer never came to the end.
        unchecked: of the messages, how many come from a chunk without an end, whose checksum was
            never written.
        kept: the damaged file, where more may be saved from it another day.
    """

    path: Path
    messages: int
    seconds: float
    lost_bytes: int = 0
    lost_messages: int | None = 0
    needed: bool = True
    cut_off: bool = False
    unchecked: int = 0
    kept: Path | None = None

    def __str__(self) -> str:
        """One sentence."""
        if not self.needed:
            return f"{self.path}: whole, {self.messages} messages; nothing to repair"
        found = f"{self.path}: readable again, {self.messages} messages over {self.seconds:.1f} s"
        if self.kept:
            missing = f"{self.lost_messages} messages" if self.lost_messages else "what follows"
            return (
                f"{found}; lost: {missing} from a rotten place on, {self.lost_bytes} bytes before "
                f"the end of {self.kept}, which is left as it was"
            )
        if not self.cut_off:
            return f"{found}; nothing was lost"
        lost = f"{self.lost_bytes} bytes at its end were no whole message"
        if self.lost_messages:
            lost += f", {self.lost_messages} messages had not reached the disk"
        elif self.lost_messages is None:
            lost += ", and what had not reached the disk, which nobody noted"
        if self.unchecked:
            lost += f"; of the last {self.unchecked} no checksum says whether they are as they were"
        return f"{found}; lost: {lost}"


def repair(path: str | Path) -> Repair:
    """Rewrites a bag from the whole messages of its MCAP files; leaves a whole bag alone.

    Of a single file, a folder beside it is made.

    Raises:
        BagError: it is being recorded, there is no MCAP file, or it holds no whole message; all is
            as it was then.
    """
    path = Path(path)
    try:
        with Bag(path) as bag:
            count = sum(1 for _ in bag.check())
            return Repair(path, count, (bag.end_ns - bag.start_ns) * 1e-9, needed=False)
    except (BusyBagError, EmptyBagError):
        raise
    except BagError:
        files, labels, taken = _found(path)
    goal = path.with_suffix("") if path.is_file() else path
    if path.is_file() and goal.exists():
        raise BagError(f"{path} would be repaired to {goal}, which exists already: move that away")
    # Two levels: the file in a bag bears the name of its folder.
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as workshop:
        fresh = BagWriter(Path(workshop, goal.name), {**labels, "repaired": "true"})
        try:
            seconds, lost_bytes, walk, rotten = _copy(files, fresh)
            if not fresh.messages:
                raise BagError(f"{path} begins with no whole message: nothing is changed")
        except (BagError, OSError) as error:
            fresh.abort()
            raise error if isinstance(error, BagError) else BagError(f"{path}: {error}") from None
        fresh.close({"outcome": labels.get("outcome", "unlabelled")})
        kept = rotten
        if path.is_dir():
            damaged = Path(workshop, "damaged")
            if rotten:
                kept = path / f"{rotten.name}.damaged"
                rotten.rename(fresh.path / kept.name)
            path.rename(damaged)
        fresh.path.rename(goal)
    lost = None if taken is None else max(taken - fresh.messages, 0)
    return Repair(
        goal,
        fresh.messages,
        seconds,
        lost_bytes,
        lost,
        cut_off=not walk.complete,
        unchecked=walk.unchecked,
        kept=kept,
    )


def _copy(files: list[Path], fresh: BagWriter) -> tuple[float, int, Walk, Path | None]:
    """Takes over what is whole, up to the first rotten place.

    Returns:
        Seconds from the first message to the last; bytes behind the last whole record of the last
        file read; the walk through it; the file where it is rotten.
    """
    first_ns, last_ns = 2**63, 0
    left, rotten = 0, None
    for file in files:
        with mapped(file) as data:
            walk = Walk(data)
            for message in walk.messages():
                if not _readable(message):
                    rotten = file
                    break
                if message.topic not in fresh:
                    qos = _qos(message.qos)
                    fresh.add(message.topic, message.kind, "", qos, message.definition)
                fresh.write(message.topic, message.time_ns, message.data)
                first_ns, last_ns = min(first_ns, message.time_ns), max(last_ns, message.time_ns)
            left = walk.left
        if rotten or walk.rotten or (not walk.complete and file is not files[-1]):
            rotten = file
            break
    return max(last_ns - first_ns, 0) * 1e-9, left, walk, rotten


def _readable(message: Stored) -> bool:
    """Whether it is of its type, as far as that is known here."""
    store = typestore()
    try:
        if message.kind in store.fielddefs:
            store.deserialize_cdr(message.data, message.kind)
    except Exception:  # whatever its parser says
        return False
    return True


def _qos(entries: bytes) -> list[Qos]:
    try:
        return get_qos(entries) if entries else []
    except Exception:  # whatever its parser says; the messages count, not how they were sent
        return []


def _found(path: Path) -> tuple[list[Path], dict[str, str], int | None]:
    """MCAP files, labels, and how many messages the recorder had when it last noted.

    Raises:
        BagError: there is nothing to repair from.
    """
    info: dict[str, Any] = {}
    with suppress(StorageError):
        info = read_metadata(path) or {}
    try:
        files = storage_of(path).files
    except StorageError:
        files = files_in(path)
    with suppress(Exception):  # of a lone file, where they are not damaged too
        info = info or inner_metadata(files[0])
    if other := [file.name for file in files if file.suffix != ".mcap"]:
        raise BagError(
            f"{path} consists of {other[0]}, and MCAP is what is repaired here: "
            f"`sqlite3 {other[0]} .recover` saves what is whole of a .db3"
        )
    if not files:
        raise BagError(f"{path} holds 0 .mcap files: one is expected")
    with suppress(OSError, ValueError, KeyError, TypeError):
        body = json.loads((path / JOURNAL).read_text())
        labels = {str(key): str(value) for key, value in body["labels"].items()}
        return files, labels, int(body["messages"])
    try:
        taken = sum(counts_of(info).values())
    except StorageError:
        taken = 0
    return files, labels_of(info), taken or None
