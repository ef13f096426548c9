"""Bags, rosbag2 folders of any recorder, read message by message; nothing here needs ROS.

What a bag holds is told by its files: metadata.yaml gives the labels and the counts that are
compared. `vilp_ros.data.bag_writer` writes them.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from backports import zstd
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from vilp_ros.contract import Contract
from vilp_ros.contract.readers import parse_yaml
from vilp_ros.data.bag_storage import (
    METADATA,
    READERS,
    BusyError,
    CutOffError,
    EmptyError,
    Storage,
    StorageError,
    bags_at,
    counts_of,
    labels_of,
    storage_of,
    unpacked,
)
from vilp_ros.data.digest import digest, digest_files
from vilp_ros.data.mcap_records import content_of, inner_metadata, without_checksum
from vilp_ros.errors import VilpError


class BagError(VilpError):
    """A bag that cannot be written or read as asked."""


class EmptyBagError(BagError):
    """A bag without a byte."""


class BusyBagError(BagError):
    """A bag that is being recorded."""


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


def pose_position(data: bytes) -> np.ndarray | None:
    """(3,) of a serialized geometry_msgs/PoseStamped, read at its place; None if it is too short.

    For a recorder, as `header_stamp_ns` is: the arm's pose may come a thousand times a second.
    """
    if len(data) < 16:
        return None
    order = "<" if data[1] & 1 else ">"
    (length,) = struct.unpack_from(f"{order}I", data, 12)
    begin = 4 + -(-(12 + length) // 8) * 8  # doubles lie at eights behind the encapsulation
    if len(data) < begin + 24:
        return None
    return np.array(struct.unpack_from(f"{order}3d", data, begin))


def joint_names(data: bytes) -> list[str]:
    """Of a serialized sensor_msgs/JointState, read at their place; none if it is too short."""
    order, at, names = "<" if len(data) > 1 and data[1] & 1 else ">", 12, []
    try:
        (length,) = struct.unpack_from(f"{order}I", data, at)
        at += 4 + -(-length // 4) * 4  # behind the frame; numbers lie at fours
        (count,) = struct.unpack_from(f"{order}I", data, at)
        for _ in range(count):
            at += 4
            (length,) = struct.unpack_from(f"{order}I", data, at)
            names.append(data[at + 4 : at + 3 + length].decode())
            at += -(-length // 4) * 4
    except (struct.error, UnicodeDecodeError):
        return []
    return names


class Bag:
    """Reads one bag, in constant memory.

    Args:
        path: the folder, or a file of one.

    Raises:
        BagError: it is no bag, was cut off, or cannot be read.

    Attributes:
        labels: the recorder's notes; empty for a bag of another program.
        kinds: type by topic.
        counts: messages by topic.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._open = ExitStack()
        if not self.path.exists():
            raise BagError(f"{path} is no bag: a bag is a folder with {METADATA}")
        if not bags_at(self.path):
            raise BagError(f"{path} is no bag: it holds neither {METADATA} nor a .mcap file")
        try:
            with _sentences(self.path):
                self._read_head(storage_of(self.path))
            if not sum(self.counts.values()):
                raise BagError(f"{path} holds no message")
        except BagError:
            self.close()
            raise

    def _read_head(self, storage: Storage) -> None:
        self._compressed = storage.messages_compressed
        self._files: list[Any] = []
        info = storage.metadata
        self._paths = self._open.enter_context(unpacked(storage.files))
        for file in self._paths:
            if not file.stat().st_size:
                raise StorageError(f"{file.name} is empty")
            reader = READERS[file.suffix](file)
            try:
                inside = inner_metadata(file) if file.suffix == ".mcap" else {}
                reader.open()
            except Exception as error:
                if storage.metadata is None:
                    raise CutOffError("was cut off while it was recorded") from error
                raise
            self._open.callback(reader.close)
            self._files.append(reader)
            info = inside if info is None else info
            if file.suffix == ".mcap" and (lost := without_checksum(file, reader.chunks)):
                raise StorageError(lost)
        connections = [c for reader in self._files for c in reader.connections]
        self.kinds = {c.topic: c.msgtype for c in connections}
        self.counts: dict[str, int] = dict.fromkeys(self.kinds, 0)
        for connection in connections:
            self.counts[connection.topic] += connection.msgcount
        self.labels = labels_of(info or {})
        for topic, promised in counts_of(storage.metadata or {}).items():
            if promised > (held := self.counts.get(topic, 0)):
                raise StorageError(f"metadata.yaml promises {promised} of {topic}, it has {held}")
        spans = [reader.metadata for reader in self._files if reader.metadata.message_count]
        self.start_ns = min((m.start_time for m in spans), default=0)
        self.end_ns = max((m.end_time for m in spans), default=0)

    @property
    def id(self) -> str:
        """The recorder's, or what tells a bag of another program from the next."""
        if given := self.labels.get("id"):
            return given
        count, lasts_ns = sum(self.counts.values()), self.end_ns - self.start_ns
        return f"{self.start_ns}+{lasts_ns}:{count}:{self.content}"

    @cached_property
    def content(self) -> str:
        """A digest of what its files hold: of the checksums in them where they have such."""
        return digest(
            content_of(file, reader.chunks) if file.suffix == ".mcap" else digest_files([file])
            for file, reader in zip(self._paths, self._files, strict=True)
        )

    @property
    def seed(self) -> int:
        """That placed the objects; -1 where none did.

        Raises:
            BagError: the label is no whole number.
        """
        text = self.labels.get("seed", "-1")
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            raise BagError(f"{self.path}: its label seed is {text!r}, expected a whole number")
        return int(text)

    @property
    def audit(self) -> dict[str, Any]:
        """What the recorder's audit noted; empty where there was none."""
        try:
            found = json.loads(self.labels.get("audit", "{}"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

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
        """`(topic, received ns, serialized)` in the order of reception; all topics by default.

        Raises:
            BagError: a message is damaged, or fewer are there than the bag says.
        """
        wanted = set(topics) or set(self.kinds)
        seen: Counter[str] = Counter()
        with _sentences(self.path):
            for reader in self._files:
                chosen = [c for c in reader.connections if c.topic in wanted]
                if not chosen:  # to a reader, none are all
                    continue
                for connection, time_ns, data in reader.messages(chosen, start_ns, stop_ns):
                    seen[connection.topic] += 1
                    plain = zstd.decompress(data) if self._compressed else bytes(data)
                    yield connection.topic, time_ns, plain
            if start_ns is None and stop_ns is None:
                for topic in sorted(wanted):
                    if seen[topic] != (count := self.counts.get(topic, 0)):
                        text = f"{seen[topic]} of {count} messages of {topic} can be read"
                        raise StorageError(text)

    def messages(
        self, topics: Iterable[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """`(topic, received ns, message)`; fields as in ROS, number lists as numpy arrays.

        Raises:
            BagError: as `raw`, or a topic has no standard type.
        """
        store, topics = typestore(), list(topics)
        for topic in topics:
            if (kind := self.kinds.get(topic, "")) and kind not in store.fielddefs:
                raise BagError(
                    f"{self.path}: {topic} has type {kind}, which is no standard message: name "
                    "another topic, or record one of a standard type"
                )
        for topic, time_ns, data in self.raw(topics, start_ns, stop_ns):
            with _sentences(self.path):
                message = store.deserialize_cdr(data, self.kinds[topic])
            yield topic, time_ns, message

    def check(self) -> Iterator[tuple[str, int, bytes, Any]]:
        """Reads everything, as `raw`, and what is of a standard type decoded; else None.

        Raises:
            BagError: as `raw`, or a message is not of its type.
        """
        store = typestore()
        for topic, received_ns, data in self.raw():
            message = None
            if (kind := self.kinds[topic]) in store.fielddefs:
                with _sentences(self.path):
                    message = store.deserialize_cdr(data, kind)
            yield topic, received_ns, data, message

    def close(self) -> None:
        """Closes the files."""
        self._open.close()

    def __enter__(self) -> Bag:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the files."""
        self.close()


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Makes a `BagError` of whatever a reader says of damaged bytes, which is no fixed set."""
    try:
        yield
    except VilpError:
        raise
    except BusyError as error:
        raise BusyBagError(f"{path} {error}") from error
    except EmptyError as error:
        raise EmptyBagError(f"{path} {error}") from error
    except CutOffError as error:
        raise BagError(f"{path} {error}: run `vilp repair {path}`") from error
    except Exception as error:
        found = str(error).rstrip(".").split("\n")[0] or type(error).__name__
        raise BagError(
            f"{path} is damaged ({found}): `vilp repair {path}` saves what is whole"
        ) from error


def find_bags(paths: Iterable[str | Path]) -> list[Path]:
    """Bags among these and directly below them, by name; hidden ones left out.

    Files of a folder without metadata.yaml that are no parts of one recording are a bag each.

    Raises:
        BagError: a path holds no bag.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise BagError(f"{path} does not exist: name a bag, or a folder of bags")
        below = sorted(p for p in path.glob("*") if not p.name.startswith("."))
        bags = bags_at(path) or [bag for p in below if p.is_dir() for bag in bags_at(p)]
        if not bags:
            raise BagError(f"{path} holds no bag: a bag is a folder with metadata.yaml and .mcap")
        found += bags
    return found


def short_names(paths: Iterable[Path]) -> list[str]:
    """What tells bags from each other: the name, with its folder's where two are alike."""
    paths = list(paths)
    alike = Counter(path.name for path in paths)
    return [p.name if alike[p.name] == 1 else str(Path(p.parent.name, p.name)) for p in paths]


def message_count(path: str | Path) -> int:
    """Messages of a bag by its metadata, 0 if there is none."""
    try:
        return sum(counts_of(storage_of(Path(path)).metadata or {}).values())
    except StorageError:
        return 0


def relabel(path: str | Path, labels: Mapping[str, str]) -> None:
    """Changes labels of a finished bag; the messages are not touched."""
    file = Path(path) / "metadata.yaml"
    body = parse_yaml(file.read_text(), METADATA)
    info = body["rosbag2_bagfile_information"]
    info["custom_data"] = {**(info.get("custom_data") or {}), **labels}
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(body, sort_keys=False))
    os.replace(fresh, file)
