"""Records of an MCAP file (mcap.dev/spec), as far as rosbags does not read them.

Its index is checked against its checksum, the metadata that lie inside are found, and a file that
cannot be read by its index is walked from its beginning.
"""

from __future__ import annotations

import mmap
import struct
from binascii import crc32
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import yaml
from backports import zstd
from rosbags.rosbag2.enums import CompressionMode
from rosbags.rosbag2.storage_mcap import (
    ChunkInfo,
    McapWriter,
    decompress,
    write_record,
    write_string,
)

from vilp_ros.contract.readers import Yaml12Loader
from vilp_ros.data.digest import digest, digest_files

MAGIC = b"\x89MCAP0\r\n"
_HEAD = 9  # of a record: what it is, and its length
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _METADATA = 3, 4, 5, 6, 12
_METADATA_INDEX, _DATA_END = 13, 15
_CRC_WORDS = "\n# crc32 of the lines above: "
_FOOTER = _HEAD + 20 + len(MAGIC)


LIBRARY = "vilp_ros, crc32 of every chunk and of the index"
"""In the header of a file of ours: a checksum that is missing there was lost."""


class RecordError(Exception):
    """Bytes that are no record."""


class Stored(NamedTuple):
    """A message, and what its file says of its topic."""

    topic: str
    kind: str
    definition: str
    qos: bytes
    time_ns: int
    data: bytes


class Walk:
    """Record by record through a file, until its end or the first record that is rotten.

    Args:
        data: the file.

    Attributes:
        at: where the last whole record ends.
        rotten: whether the walk stopped at bytes that are no record, and not at the end.
        complete: whether it came to where the writer ended.
        left: bytes behind the last whole record, of a compressed chunk that was cut off unpacked.
        unchecked: messages of a chunk whose end is missing, which nothing vouches for.
    """

    def __init__(self, data: memoryview) -> None:
        self._checked, self.unchecked = is_ours(data), 0
        self._finished = bytes(data[-len(MAGIC) :]) == MAGIC
        self._data, self.at = data, len(MAGIC)
        self._piece: memoryview | None = None  # what there is of a chunk whose end is missing
        self._piece_at = 0
        self.rotten = self.complete = False
        self._schemas: dict[int, tuple[str, str]] = {}
        self._channels: dict[int, tuple[str, int, bytes]] = {}

    @property
    def left(self) -> int:
        """See above."""
        if self.complete:
            return 0
        if self._piece is not None and not self.rotten:
            return len(self._piece) - self._piece_at
        return len(self._data) - self.at

    def messages(self) -> Iterator[Stored]:
        """Every message before the first rotten record, also of a chunk whose end is missing."""
        try:
            if bytes(self._data[: len(MAGIC)]) != MAGIC:
                raise RecordError("no MCAP file")
            yield from self._records(self._data, len(MAGIC))
        except Exception:  # whatever a parser says of bytes that mean nothing
            self.rotten = True

    def _records(
        self, data: memoryview, at: int, span: tuple[int, int] = (0, 2**64)
    ) -> Iterator[Stored]:
        outer = data is self._data
        while at + _HEAD <= len(data):
            kind, size = struct.unpack_from("<BQ", data, at)
            end, body = at + _HEAD + size, data[at + _HEAD : at + _HEAD + size]
            whole = end <= len(data)
            if not kind or (not outer and kind not in (_SCHEMA, _CHANNEL, _MESSAGE)):
                raise RecordError(f"no record of kind {kind} can be here")
            if outer and kind == _CHUNK and (whole or len(body) > 40):
                yield from self._chunk(body, whole)
            elif not whole or kind == _DATA_END:
                self.complete = whole
                return
            elif kind == _SCHEMA:
                name, next_at = _text(body, 2)
                _, next_at = _text(body, next_at)
                definition, _ = _text(body, next_at)
                self._schemas[struct.unpack_from("<H", body)[0]] = name, definition
            elif kind == _CHANNEL:
                self._channel(body)
            elif kind == _MESSAGE:
                message = self._message(body)
                if not span[0] <= message.time_ns <= span[1]:
                    raise RecordError("a message outside of the times of its chunk")
                yield message
            at = end
            if outer and whole:
                self.at = end
            elif data is self._piece:
                self._piece_at = end

    def _chunk(self, body: memoryview, whole: bool) -> Iterator[Stored]:
        first_ns, last_ns, size, crc = struct.unpack_from("<QQQI", body)
        if self._checked and whole and not crc:
            raise RecordError("a chunk without its checksum")
        span = first_ns, last_ns
        compression, at = _text(body, 28)
        packed = body[at + 8 : at + 8 + struct.unpack_from("<Q", body, at)[0]]
        if whole:
            plain = decompress(bytes(packed), compression, size, crc)
            yield from _but_last_if_rotten(self._records(memoryview(plain), 0, span))
        elif self._finished:
            raise RecordError("a chunk that is longer than its file")
        else:
            self._piece = memoryview(_unpacked(packed, compression))
            for message in self._records(self._piece, 0, span):
                self.unchecked += 1
                yield message

    def _channel(self, body: memoryview) -> None:
        number, schema = struct.unpack_from("<HH", body)
        topic, at = _text(body, 4)
        _, at = _text(body, at)
        entries = body[at + 4 : at + 4 + struct.unpack_from("<I", body, at)[0]]
        self._channels[number] = (topic, schema, bytes(entries))

    def _message(self, body: memoryview) -> Stored:
        channel, _, time_ns = struct.unpack_from("<HIQ", body)
        topic, schema, qos = self._channels[channel]
        return Stored(topic, *self._schemas[schema], qos, time_ns, bytes(body[22:]))


def _unpacked(packed: memoryview, compression: str) -> bytes | memoryview:
    """What can be unpacked of the beginning of a chunk."""
    if compression == "zstd":
        return zstd.ZstdDecompressor().decompress(packed)
    if compression:
        raise RecordError(f"a chunk packed by {compression}")
    return packed


def _but_last_if_rotten(messages: Iterator[Stored]) -> Iterator[Stored]:
    """A hole begins inside of the last message that can be read, where no checksum tells."""
    held: Stored | None = None
    for message in messages:
        if held is not None:
            yield held
        held = message
    if held is not None:
        yield held


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Bytes of a file, read as they are asked for."""
    if not path.stat().st_size:  # which cannot be mapped
        yield memoryview(b"")
        return
    with path.open("rb") as file:  # the pages go with the last view of them
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def inner_metadata(path: Path) -> dict[str, Any]:
    """What rosbag2 wrote into a whole file beside its messages; empty if nothing.

    Raises:
        RecordError: the index is not what its checksum says.
    """
    with path.open("rb") as file:
        for kind, body in _summary(file):
            if kind == _METADATA_INDEX and _text(memoryview(body), 16)[0] == "rosbag2":
                start, size = struct.unpack_from("<QQ", body)
                file.seek(start)
                record = memoryview(file.read(size))
                _, at = _text(record, _HEAD)
                key, at = _text(record, at + 4)
                text, _ = _text(record, at)
                if record[:1] == bytes([_METADATA]) and key == "serialized_metadata":
                    text, said, crc = text.partition(_CRC_WORDS)
                    if said and crc != f"{crc32(text.encode()):08x}":
                        raise RecordError("its metadata are not what their checksum says")
                    found = yaml.load(text, Yaml12Loader)
                    return found if isinstance(found, dict) else {}
    return {}


def is_ours(data: bytes | memoryview) -> bool:
    """Whether a file's header says that it bears checksums."""
    return LIBRARY.encode() in bytes(data[: len(MAGIC) + _HEAD + 8 + 4 + len(LIBRARY)])


def without_checksum(path: Path, chunks: Iterable[ChunkInfo]) -> str:
    """What lacks a checksum in a file of ours, as a phrase; empty if nothing does."""
    with path.open("rb") as file:
        if not is_ours(file.read(256)):
            return ""
        file.seek(-_FOOTER, 2)
        if not struct.unpack_from("<I", file.read(), _HEAD + 16)[0]:
            return "its index has no checksum"
        for chunk in chunks:
            file.seek(chunk.chunk_start_offset + _HEAD + 24)
            if not struct.unpack("<I", file.read(4))[0]:
                return "a chunk has no checksum"
    return ""


def content_of(path: Path, chunks: Iterable[ChunkInfo]) -> str:
    """A digest of the chunks' checksums; of the whole file where one has none."""
    sums = []
    with path.open("rb") as file:
        for chunk in chunks:
            file.seek(chunk.chunk_start_offset + _HEAD + 16)
            sums.append(file.read(12))  # its size and checksum, unpacked
    if not sums or any(one[8:] == bytes(4) for one in sums):
        return digest_files([path])
    return digest(sums)


def _summary(file: BinaryIO) -> list[tuple[int, bytes]]:
    """`(kind, body)` of the records of a file's index."""
    end = file.seek(0, 2)
    file.seek(max(end - _FOOTER, 0))
    start, _, crc = struct.unpack_from("<QQI", file.read(), _HEAD)
    if not start:
        return []
    if not len(MAGIC) <= start <= end - _FOOTER:
        raise RecordError("its index begins outside of it")
    file.seek(start)
    data = file.read(end - start)
    if crc and crc32(data[: -len(MAGIC) - 4]) != crc:
        raise RecordError("its index is not what its checksum says")
    records, at = [], 0
    while at + _HEAD <= len(data) - _FOOTER:
        kind, size = struct.unpack_from("<BQ", data, at)
        if not kind or at + _HEAD + size > len(data):
            raise RecordError("its index holds what is no record")
        records.append((kind, data[at + _HEAD : at + _HEAD + size]))
        at += _HEAD + size
    return records


class CheckedMcapWriter(McapWriter):
    """Of rosbags, with the checksums that it leaves out: of each chunk and of the index."""

    def __init__(self, path: Path, compression: CompressionMode) -> None:
        super().__init__(path, compression)
        header = BytesIO()
        write_string(header, "ros2")
        write_string(header, LIBRARY)
        self.bio.seek(len(MAGIC))
        self.bio.truncate()
        write_record(self.bio, 1, header)

    def close_chunk(self) -> None:
        """Writes the pending chunk."""
        crc, at = crc32(self.chunk.bio.getbuffer()), self.bio.tell()
        super().close_chunk()
        end = self.bio.tell()
        self.bio.seek(at + _HEAD + 24)
        self.bio.write(struct.pack("<I", crc))
        self.bio.seek(end)

    def close(self, version: int, metadata: str) -> None:
        """Writes the index, and the metadata with a checksum as a comment."""
        super().close(version, f"{metadata}{_CRC_WORDS}{crc32(metadata.encode()):08x}")
        with self.path.open("r+b") as file:
            file.seek(-_FOOTER + _HEAD, 2)
            (start,) = struct.unpack("<Q", file.read(8))
            file.seek(start)
            data = file.read()[: -len(MAGIC) - 4]
            file.seek(-len(MAGIC) - 4, 2)
            file.write(struct.pack("<I", crc32(data)))


def _text(body: memoryview, at: int) -> tuple[str, int]:
    """A string and where it ends."""
    (size,) = struct.unpack_from("<I", body, at)
    return str(body[at + 4 : at + 4 + size], "utf-8", "replace"), at + 4 + size
