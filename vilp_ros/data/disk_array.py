"""An array on disk, read by index: what a training larger than memory draws from.

The exchange format compresses frames in chunks, so that one at random costs sixteen. Here each row
lies by itself, and a read is one system call; what is read often, the kernel keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike


class DiskArray:
    """`(N, ...)` in a `.npy` file, indexed as an array is along its first axis.

    Reads with `pread`: threads may share it, and no page of the file is mapped into the process.

    Args:
        path: the file, written by `write` or `numpy.save`.
    """

    def __init__(self, path: str | Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        self.shape: tuple[int, ...] = mapped.shape
        self.dtype: np.dtype = mapped.dtype
        self._offset = int(mapped.offset)
        self._bytes = int(np.prod(mapped.shape[1:])) * mapped.itemsize
        del mapped
        self._file = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        """Number of rows N."""
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Rows at whole numbers of any shape `(..., )`: `(..., *shape[1:])`.

        Raises:
            IndexError: beyond the last row.
            OSError: the file was cut off meanwhile.
        """
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        wanted = np.asarray(index)
        if wanted.size and not -len(self) <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {len(self)}")
        found = np.empty((wanted.size, *self.shape[1:]), self.dtype)
        for row, number in zip(found, (wanted.reshape(-1) % max(len(self), 1)).tolist()):
            start = self._offset + number * self._bytes
            if os.preadv(self._file, [row.reshape(-1).view(np.uint8)], start) != self._bytes:
                raise OSError(f"row {number} of {len(self)} is cut off")
        return found.reshape(*wanted.shape, *self.shape[1:])

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def write(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike, parts: Iterable[np.ndarray]
) -> None:
    """Writes an array part by part; under its name there is only ever a whole one.

    Processes may write the same at once: each has a draft of its own, the last one done stays.

    Args:
        path: the `.npy` file.
        shape: of the whole, `(N, ...)`.
        dtype: of its numbers.
        parts: `(n, ...)` each, N rows in all.

    Raises:
        ValueError: the parts hold another number of rows.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    draft, done = path.with_suffix(f".{os.getpid()}.draft.npy"), 0
    try:
        with draft.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
                done += len(part)
        if done != shape[0]:
            raise ValueError(f"{path.name}: {done} rows, not {shape[0]}")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
