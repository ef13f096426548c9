"""What two processes of different environments say to each other over a local socket.

A message is the length of its header (4 bytes, big endian), the header (JSON), and the bytes of the
arrays that the header names (C order, little endian), one after the other. Nothing is unpickled. A
receiver knows beforehand which arrays can come and how large they are: it reads as many bytes as it
expects, never as many as it is told.

Both sides begin with a `hello` that carries their `Terms`; each hangs up on the other's if they are
not the same. From then on one asks (`observe`) and the other answers (`chunk`, or `failed`).

Needs python and numpy, of whatever version either environment has.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

PROTOCOL = 1
MOST_HEADER = 1 << 16
_LENGTH = struct.Struct(">I")

Arrays = dict[str, tuple[str, tuple[int, ...]]]
"""Of a message: name to (dtype, shape)."""


class WireError(Exception):
    """The other side is not there, is too slow, or says what was not agreed on."""


@dataclass(frozen=True)
class Terms:
    """What both sides must mean by the same bytes.

    Attributes:
        views: name to (height, width), RGB uint8.
        state: what the numbers of the state are.
        action: what the numbers of an action are.
        fps: actions a second.
        actions: of a chunk, the first for the moment of the observation.
        protocol: version of this file.
    """

    views: dict[str, tuple[int, int]]
    state: tuple[str, ...]
    action: tuple[str, ...]
    fps: float
    actions: int
    protocol: int = PROTOCOL

    @property
    def asked(self) -> Arrays:
        """Arrays of a message `observe`."""
        pictures: Arrays = {view: ("|u1", (*self.views[view], 3)) for view in sorted(self.views)}
        return {**pictures, "state": ("<f8", (len(self.state),))}

    @property
    def answered(self) -> Arrays:
        """Arrays of a message `chunk`."""
        return {"actions": ("<f8", (self.actions, len(self.action)))}

    def nothing(self) -> dict[str, np.ndarray]:
        """An observation of zeros, to warm up on."""
        return {name: np.zeros(shape, dtype) for name, (dtype, shape) in self.asked.items()}

    def require(self, told: Mapping[str, Any], mine: str, theirs: str) -> None:
        """Compares with the terms in the other side's hello.

        Args:
            told: its header.
            mine: what this side is called in the sentence.
            theirs: what the other one is.

        Raises:
            WireError: a term differs; names it on both sides.
        """
        here, there = json.loads(json.dumps(asdict(self))), dict(told)
        for term in ("protocol", "views", "state", "action", "fps", "actions"):
            one, two = here[term], there.get(term)
            same = one == two
            if term == "fps" and isinstance(two, int | float):
                same = math.isclose(one, two, rel_tol=1e-3)
            if not same:
                raise WireError(f"{term}: {mine} has {_words(one)}, {theirs} {_words(two)}")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{view} {_words(size)}" for view, size in value.items()) or "none"
    if isinstance(value, list) and len(value) == 2:
        return "x".join(map(str, value))
    if isinstance(value, list):
        return f"{len(value)} numbers ({', '.join(map(str, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


class Connection:
    """One end of a socket.

    Args:
        end: connected; this object closes it.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def close(self) -> None:
        """Hangs up."""
        self._end.close()

    def send(
        self,
        kind: str,
        timeout_s: float,
        arrays: Mapping[str, np.ndarray] | None = None,
        **header: Any,
    ) -> None:
        """Sends a message.

        Args:
            kind: of message.
            timeout_s: in which the other side must have taken it.
            arrays: uint8 or float64.
            header: what else it says.

        Raises:
            WireError: the other side is gone, or takes nothing.
        """
        rows = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
        shapes = {name: (row.dtype.newbyteorder("<").str, row.shape) for name, row in rows.items()}
        head = json.dumps({"kind": kind, "arrays": shapes, **header}).encode()
        if len(head) > MOST_HEADER:
            raise WireError(f"a header of {len(head)} bytes, at most {MOST_HEADER} are sent")
        body = [row.astype(shapes[name][0], copy=False).tobytes() for name, row in rows.items()]
        self._end.settimeout(timeout_s)
        try:
            self._end.sendall(b"".join([_LENGTH.pack(len(head)), head, *body]))
        except TimeoutError:
            raise WireError(f"took no message within {timeout_s:g} s") from None
        except OSError as error:
            raise WireError(f"hung up ({error.strerror or error})") from error

    def receive(
        self, expected: Mapping[str, Arrays], timeout_s: float, idle: bool = False
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Waits for a message.

        Args:
            expected: kinds of message that may come, and their arrays.
            timeout_s: in which the whole of it must have come.
            idle: whether its first byte may take for ever.

        Returns:
            Its header, and its arrays.

        Raises:
            WireError: nothing came in time, the other side hung up, or sent something else.
        """
        start = self._read(1, None) if idle else b""
        deadline_s = time.monotonic() + timeout_s
        try:
            start += self._read(_LENGTH.size - len(start), deadline_s)
            (length,) = _LENGTH.unpack(start)
            if length > MOST_HEADER:
                raise WireError(f"announced a header of {length} bytes, at most {MOST_HEADER} come")
            header = self._header(self._read(length, deadline_s))
            kind = header.get("kind")
            if kind not in expected:
                raise WireError(f"said {kind!r}, expected {' or '.join(expected)}")
            wanted = {name: (dtype, list(shape)) for name, (dtype, shape) in expected[kind].items()}
            found = {name: tuple(rest) for name, rest in header["arrays"].items()}
            if list(wanted.items()) != list(found.items()):
                raise WireError(f"sent {_describe(found)}, expected {_describe(wanted)}")
            arrays = {}
            for name, (dtype, shape) in expected[kind].items():
                size = math.prod(shape) * np.dtype(dtype).itemsize
                raw = self._read(size, deadline_s)
                arrays[name] = np.frombuffer(raw, dtype).reshape(shape)
        except TimeoutError:
            raise WireError(f"did not answer within {timeout_s:g} s") from None
        return header, arrays

    def _header(self, raw: bytes) -> dict[str, Any]:
        try:
            header = json.loads(raw)
            arrays = header["arrays"]
            sound = isinstance(arrays, dict) and all(
                isinstance(rest, list) and len(rest) == 2 for rest in arrays.values()
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise WireError(f"sent a header that is none ({error})") from error
        if not sound:
            raise WireError("sent a header whose `arrays` are not names with dtype and shape")
        return header

    def _read(self, size: int, deadline_s: float | None) -> bytes:
        """So many bytes; raises TimeoutError after the deadline, WireError at their end."""
        raw = bytearray()
        while len(raw) < size:
            if deadline_s is None:
                self._end.settimeout(None)
            else:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:  # also where it trickles
                    raise TimeoutError
                self._end.settimeout(left_s)
            try:
                part = self._end.recv(size - len(raw))
            except TimeoutError:
                raise
            except OSError as error:
                raise WireError(f"hung up ({error.strerror or error})") from error
            if not part:
                raise WireError("hung up")
            raw += part
        return bytes(raw)


def _describe(arrays: Mapping[str, tuple[Any, ...]]) -> str:
    each = (f"{name} {dtype} {shape}" for name, (dtype, shape) in arrays.items())
    return ", ".join(each) or "no array"
