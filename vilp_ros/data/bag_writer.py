"""Bags to disk: MCAP from serialized messages, with checksums."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from vilp_ros.data.bag import BagError, typestore
from vilp_ros.data.bag_storage import JOURNAL, lock
from vilp_ros.data.mcap_records import CheckedMcapWriter

CHUNK_S = 1.0
"""A chunk goes to the disk when it holds 1 MiB or is this old; a kill takes no more than one."""


class _Writer(Writer):
    """With checksums."""

    STORAGE_PLUGINS = MappingProxyType({StoragePlugin.MCAP: CheckedMcapWriter})


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
        self._writer = _Writer(
            self.path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP
        )
        if compress:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        storage: Any = self._writer.storage
        lock(storage.bio)
        self._connections: dict[str, Connection] = {}
        self._flushed_s = time.monotonic()
        self._journal()

    def add(
        self,
        topic: str,
        kind: str,
        digest: str = "",
        qos: Iterable[Qos] = (),
        definition: str = "",
    ) -> None:
        """Announces a topic.

        Args:
            topic: absolute name.
            kind: type, such as `sensor_msgs/msg/Image`.
            digest: `RIHS01_...` as the graph tells it; empty if it does not.
            qos: of its publishers.
            definition: of a type that is no standard message, as another bag has it.

        Raises:
            BagError: the type is unknown, or not the one known by that name.
        """
        store = typestore()
        if kind not in store.fielddefs and definition:
            self._connections[topic] = self._writer.add_connection(
                topic,
                kind,
                msgdef=definition,
                rihs01=_digest(kind, definition),
                offered_qos_profiles=list(qos),
            )
            return
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


def _digest(kind: str, definition: str) -> str:
    """Of a type by its definition; one of zeros where that cannot be understood."""
    store = get_typestore(Stores.EMPTY)
    try:
        if definition.startswith("=" * 80 + "\nIDL: "):
            store.register(get_types_from_idl(definition))
        else:
            store.register(get_types_from_msg(definition, kind))
        return store.hash_rihs01(kind)
    except Exception:  # whatever its parser says of what another program wrote
        return "RIHS01_" + "0" * 64
