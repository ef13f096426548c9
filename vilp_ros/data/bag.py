"""Bags: rosbag2 folders with one MCAP file, written from serialized messages and read back.

`vilp_ros.nodes.recorder` writes them, everything else reads them; nothing here needs ROS.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.rosbag2.errors import ReaderError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from vilp_ros.contract import Contract
from vilp_ros.errors import VilpError

CHUNK_S = 1.0
"""A chunk goes to the disk when it holds 1 MiB or is this old; a kill takes no more than one."""
JOURNAL = "recording.json"
"""Lies in a bag while it is written: what the metadata will say, and how far the writer was."""


class BagError(VilpError):
    """A bag that cannot be written or read as asked."""


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """The standard messages of Jazzy."""
    return get_typestore(Stores.ROS2_JAZZY)


def header_stamp_ns(data: bytes) -> int:
    """Stamp of a serialized message whose first field is a header; 0 if it is too short.

    Read at its place in the CDR bytes (4 bytes of encapsulation, then sec and nanosec), so that a
    recorder need not decode images to audit them.
    """
    if len(data) < 12:
        return 0
    order = "little" if data[1] & 1 else "big"
    sec = int.from_bytes(data[4:8], order, signed=True)  # type: ignore[arg-type]
    return sec * 1_000_000_000 + int.from_bytes(data[8:12], order)  # type: ignore[arg-type]


class BagWriter:
    """Writes one bag; what was flushed survives a kill and is found by `vilp_ros.data.repair`.

    Args:
        path: the folder; must not exist.
        labels: text by key, for the bag's `custom_data`.
        compress: zstd, a chunk at a time.

    Raises:
        BagError: the folder exists already.
        OSError: it cannot be made.
    """

    def __init__(
        self, path: str | Path, labels: Mapping[str, str], *, compress: bool = False
    ) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise BagError(f"{path} exists already: a bag is never written over")
        self.labels = dict(labels)
        self.messages = self.bytes = self.last_ns = 0
        self._writer = Writer(
            self.path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP
        )
        if compress:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        self._flushed_s = time.monotonic()
        self._journal()

    def add(self, topic: str, kind: str, digest: str = "", qos: Iterable[Qos] = ()) -> None:
        """Announces a topic.

        Args:
            topic: absolute name.
            kind: type, such as `sensor_msgs/msg/Image`.
            digest: `RIHS01_...` as the graph tells it; empty if it does not.
            qos: of its publishers.

        Raises:
            BagError: the type is unknown, or not the one known by that name.
        """
        store = typestore()
        if kind not in store.fielddefs:
            raise BagError(f"{topic} has type {kind}, which is no standard message: leave it out")
        if digest and digest != store.hash_rihs01(kind):
            raise BagError(
                f"{topic}: the publisher's {kind} is {digest}, that of ROS 2 Jazzy "
                f"{store.hash_rihs01(kind)}: the definitions differ"
            )
        self._connections[topic] = self._writer.add_connection(
            topic, kind, typestore=store, offered_qos_profiles=list(qos)
        )

    def __contains__(self, topic: object) -> bool:
        """Whether a topic was announced."""
        return topic in self._connections

    def write(self, topic: str, received_ns: int, data: bytes) -> None:
        """Takes one serialized message of an announced topic."""
        storage: Any = self._writer.storage
        chunks = len(storage.chunks)
        self._writer.write(self._connections[topic], received_ns, data)
        self.messages, self.bytes = self.messages + 1, self.bytes + len(data)
        self.last_ns = received_ns
        if len(storage.chunks) > chunks:
            storage.bio.flush()  # or the end of the chunk stays in a buffer of ours
            self._flushed_s = time.monotonic()

    def beat(self) -> None:
        """Brings what is older than `CHUNK_S` to the disk; to be called now and then."""
        storage: Any = self._writer.storage
        now_s = time.monotonic()
        if now_s - self._flushed_s >= CHUNK_S:
            self._flushed_s = now_s
            if storage.chunk.bio.tell():
                storage.close_chunk()
                storage.bio.flush()
        if now_s - self._journaled_s >= CHUNK_S:  # also where full chunks never grow that old
            self._journal()

    def close(self, labels: Mapping[str, str]) -> None:
        """Writes index and metadata, with these labels beside those of the beginning."""
        for key, value in {**self.labels, **labels}.items():
            self._writer.set_custom_data(key, value)
        self._writer.close()
        (self.path / JOURNAL).unlink()

    def abort(self) -> None:
        """Leaves the bag as a kill would."""
        with suppress(OSError):  # a full disk is full for the last buffer too
            self._writer.abort()

    def _journal(self) -> None:
        body = {"labels": self.labels, "messages": self.messages, "last_ns": self.last_ns}
        fresh = self.path / f"{JOURNAL}.new"
        fresh.write_text(json.dumps(body))
        fresh.replace(self.path / JOURNAL)
        self._journaled_s = time.monotonic()


class Bag:
    """Reads one bag, in constant memory.

    Args:
        path: the folder.

    Raises:
        BagError: it is no bag, was cut off, or cannot be read.

    Attributes:
        labels: the recorder's notes; empty for a bag of another program.
        kinds: type by topic.
        counts: messages by topic.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise BagError(f"{path} is no bag: a bag is a folder with metadata.yaml")
        if (self.path / JOURNAL).exists() or not (self.path / "metadata.yaml").exists():
            if not list(self.path.glob("*.mcap")):
                raise BagError(f"{path} is no bag: it holds neither metadata.yaml nor a .mcap file")
            raise BagError(f"{path} was cut off while it was recorded: run `vilp repair {path}`")
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except (ReaderError, OSError, AssertionError) as error:
            raise _damaged(path, error) from error
        self.labels: dict[str, str] = dict(self._reader.storage.metadata.custom or {})
        self.kinds = {c.topic: c.msgtype for c in self._reader.connections}
        self.counts = {c.topic: c.msgcount for c in self._reader.connections}
        if not sum(self.counts.values()):
            raise BagError(f"{path} holds no message")
        self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def contract(self) -> Contract | None:
        """Of the robot that it was recorded from, where the recorder noted it."""
        text = self.labels.get("contract")
        return Contract.parse(text, f"contract in {self.path.name}") if text else None

    def topic(self, name: str) -> str:
        """Absolute name of a topic of the contract, in the namespace of the recording."""
        space = self.labels.get("namespace", "").strip("/")
        return name if name.startswith("/") else "/" + "/".join(filter(None, (space, name)))

    def raw(
        self, topics: Iterable[str] = (), start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """`(topic, received ns, serialized)` in the order of reception; all topics by default."""
        wanted = set(topics) or set(self.kinds)
        chosen = [c for c in self._reader.connections if c.topic in wanted]
        try:
            for connection, time_ns, data in self._reader.messages(chosen, start_ns, stop_ns):
                yield connection.topic, time_ns, bytes(data)
        except (ReaderError, OSError, AssertionError) as error:
            raise _damaged(self.path, error) from error

    def messages(
        self, topics: Iterable[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """`(topic, received ns, message)`; fields as in ROS, number lists as numpy arrays."""
        store = typestore()
        for topic, time_ns, data in self.raw(topics, start_ns, stop_ns):
            yield topic, time_ns, store.deserialize_cdr(data, self.kinds[topic])

    def close(self) -> None:
        """Closes the files."""
        self._reader.close()

    def __enter__(self) -> Bag:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the files."""
        self.close()


def find_bags(paths: Iterable[str | Path]) -> list[Path]:
    """Bags among these folders and directly below them, by name; hidden ones left out.

    Raises:
        BagError: a path holds no bag.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        below = sorted(p for p in path.glob("*/") if not p.name.startswith("."))
        bags = [path] if _is_bag(path) else [p for p in below if _is_bag(p)]
        if not path.exists():
            raise BagError(f"{path} does not exist: name a bag, or a folder of bags")
        if not bags:
            raise BagError(f"{path} holds no bag: a bag is a folder with metadata.yaml and .mcap")
        found += bags
    return found


def message_count(path: str | Path) -> int:
    """Messages of a bag by its metadata, 0 if there is none."""
    try:
        body = yaml.load((Path(path) / "metadata.yaml").read_text(), yaml.CSafeLoader)
        return int(body["rosbag2_bagfile_information"]["message_count"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return 0


def relabel(path: str | Path, labels: Mapping[str, str]) -> None:
    """Changes labels of a finished bag; the messages are not touched."""
    file = Path(path) / "metadata.yaml"
    body = yaml.safe_load(file.read_text())
    info = body["rosbag2_bagfile_information"]
    info["custom_data"] = {**(info.get("custom_data") or {}), **labels}
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(body, sort_keys=False))
    os.replace(fresh, file)


def _damaged(path: str | Path, error: Exception) -> BagError:
    found = str(error).rstrip(".")
    return BagError(f"{path} is damaged ({found}): `vilp repair {path}` saves what is whole")


def _is_bag(path: Path) -> bool:
    return (path / "metadata.yaml").is_file() or any(path.glob("*.mcap"))
