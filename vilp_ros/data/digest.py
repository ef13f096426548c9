"""A short code of what was read, by which it is known again."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np


def digest(parts: Iterable[np.ndarray | bytes | str]) -> str:
    """Of numbers, pictures, or bytes."""
    code = blake2b(digest_size=10)
    for part in parts:
        if isinstance(part, np.ndarray):
            code.update(f"{part.dtype.str}{part.shape}".encode())
            code.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
        else:
            code.update(part.encode() if isinstance(part, str) else part)
    return code.hexdigest()


def digest_files(paths: Iterable[Path]) -> str:
    """Of what files hold, whatever they are called; a part of one is in memory at a time."""
    code = blake2b(digest_size=10)
    for path in paths:
        code.update(str(path.stat().st_size).encode())
        with path.open("rb") as file:
            while part := file.read(2**20):
                code.update(part)
    return code.hexdigest()
