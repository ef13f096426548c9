"""Make a bag readable again that was cut off, and say what was lost."""

from __future__ import annotations

import json
import mmap
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml
from rosbags.rosbag2.storage_mcap import DECOMPRESSORS, get_qos

from vilp_ros.data.bag import JOURNAL, Bag, BagError, BagWriter

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 3, 4, 5, 6, 15


@dataclass(frozen=True)
class Repair:
    """What a repair found.

    Attributes:
        path: the bag.
        messages: how many it holds now.
        seconds: from the first to the last of them.
        lost_bytes: at the end of the file, of no whole message.
        lost_messages: which the recorder had taken and had not brought to the disk when it last
            noted; None if it left no note. Those that came in its last second are not counted.
        needed: whether anything was wrong.
    """

    path: Path
    messages: int
    seconds: float
    lost_bytes: int
    lost_messages: int | None
    needed: bool

    def __str__(self) -> str:
        """One sentence."""
        if not self.needed:
            return f"{self.path}: whole, {self.messages} messages; nothing to repair"
        lost = f"{self.lost_bytes} bytes at its end were no whole message"
        if self.lost_messages:
            lost += f", {self.lost_messages} messages had not reached the disk"
        return (
            f"{self.path}: readable again, {self.messages} messages over {self.seconds:.1f} s; "
            f"lost: at most the last chunk (1 MiB or 1 s); {lost}"
        )


class _Stored(NamedTuple):
    topic: str
    kind: str
    qos: bytes
    time_ns: int
    data: bytes


def repair(path: str | Path) -> Repair:
    """Rewrites a bag from the whole messages of its MCAP file; leaves a whole bag alone.

    Raises:
        BagError: there is no MCAP file, or it holds no whole message.
    """
    path = Path(path)
    try:
        with Bag(path) as bag:
            count = sum(1 for _ in bag.raw())
            return Repair(path, count, (bag.end_ns - bag.start_ns) * 1e-9, 0, 0, False)
    except BagError:
        files = sorted(path.glob("*.mcap"))
    if len(files) != 1:
        raise BagError(f"{path} holds {len(files)} .mcap files: one is expected")
    labels, taken = _notes(path)
    # Two levels: the file in a bag bears the name of its folder.
    workshop = path.with_name(f".{path.name}.repair")
    shutil.rmtree(workshop, ignore_errors=True)
    fresh = BagWriter(workshop / path.name, {**labels, "repaired": "true"})
    try:
        with files[0].open("rb") as file:
            walk = _Walk(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        first_ns = 0
        for message in walk.messages():
            first_ns = first_ns or message.time_ns
            if message.topic not in fresh:
                qos = get_qos(message.qos) if message.qos else []
                fresh.add(message.topic, message.kind, qos=qos)
            fresh.write(message.topic, message.time_ns, message.data)
    except (BagError, ValueError):  # ValueError: an empty file cannot be mapped
        fresh.abort()
        shutil.rmtree(workshop)
        raise BagError(f"{path} is no MCAP file from its beginning: nothing can be saved") from None
    lost_bytes = walk.rest()
    if not fresh.messages:
        fresh.abort()
        shutil.rmtree(workshop)
        raise BagError(f"{path} holds no whole message: nothing can be saved, delete it")
    seconds = (fresh.last_ns - first_ns) * 1e-9
    fresh.close({"outcome": labels.get("outcome", "unlabelled")})
    damaged = path.with_name(f".{path.name}.damaged")
    path.rename(damaged)
    fresh.path.rename(path)
    shutil.rmtree(damaged)
    shutil.rmtree(workshop)
    lost = None if taken is None else max(taken - fresh.messages, 0)
    return Repair(path, fresh.messages, seconds, lost_bytes, lost, True)


def _notes(path: Path) -> tuple[dict[str, str], int | None]:
    """Labels, and how many messages the recorder had when it last noted."""
    if (journal := path / JOURNAL).exists():
        body = json.loads(journal.read_text())
        return body["labels"], int(body["messages"])
    try:
        body = yaml.safe_load((path / "metadata.yaml").read_text())
        info = body["rosbag2_bagfile_information"]
        return dict(info.get("custom_data") or {}), int(info["message_count"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}, None


class _Walk:
    """Record by record through an MCAP file (mcap.dev/spec), as far as it is whole."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = len(_MAGIC)
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str, bytes]] = {}
        if bytes(data[: len(_MAGIC)]) != _MAGIC:
            raise BagError("no MCAP file")

    def messages(self) -> Iterator[_Stored]:
        """Every whole message, also those of a chunk whose end is missing."""
        yield from self._records(self._data, len(_MAGIC))

    def rest(self) -> int:
        """Bytes behind the last whole record."""
        return len(self._data) - self._at

    def _records(self, data: memoryview, at: int) -> Iterator[_Stored]:
        outer = data is self._data
        while at + 9 <= len(data):
            kind, size = struct.unpack_from("<BQ", data, at)
            end = at + 9 + size
            body = data[at + 9 : end]
            whole = end <= len(data)
            if kind == _CHUNK and len(body) > 40:
                yield from self._chunk(body, whole)
            elif not whole or kind == _DATA_END:
                return
            elif kind == _SCHEMA:
                name, _ = _text(body, 2)
                self._schemas[struct.unpack_from("<H", body)[0]] = name
            elif kind == _CHANNEL:
                self._channel(body)
            elif kind == _MESSAGE:
                channel, _, time_ns = struct.unpack_from("<HIQ", body)
                topic, type_name, qos = self._channels[channel]
                yield _Stored(topic, type_name, qos, time_ns, bytes(body[22:]))
            at = end
            if outer and whole:
                self._at = end

    def _chunk(self, body: memoryview, whole: bool) -> Iterator[_Stored]:
        (unpacked,) = struct.unpack_from("<Q", body, 16)
        compression, at = _text(body, 28)
        packed = body[at + 8 : at + 8 + struct.unpack_from("<Q", body, at)[0]]
        if not compression:
            yield from self._records(packed, 0)
        elif whole:
            plain = DECOMPRESSORS[compression](bytes(packed), unpacked)
            yield from self._records(memoryview(plain), 0)

    def _channel(self, body: memoryview) -> None:
        number, schema = struct.unpack_from("<HH", body)
        topic, at = _text(body, 4)
        _, at = _text(body, at)
        entries = body[at + 4 : at + 4 + struct.unpack_from("<I", body, at)[0]]
        self._channels[number] = (topic, self._schemas[schema], bytes(entries))


def _text(body: memoryview, at: int) -> tuple[str, int]:
    """A string and where it ends."""
    (size,) = struct.unpack_from("<I", body, at)
    return str(body[at + 4 : at + 4 + size], "utf-8", "replace"), at + 4 + size
