"""Reading HDF5 files that may be damaged: bounded in time, and what is read is what was written.

The library can loop for ever on a damaged file, inside of a call that nothing interrupts, and can
crash. Hence a process of its own looks first.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn
from zlib import crc32

import h5py
import numpy as np

from vilp_ros.errors import VilpError

BLOCK, CHECKSUMS = 16, "crc32"
"""Rows that share a checksum, and the attribute of a dataset that holds them."""
LOOK_CPU_S = 30
"""Processor time that a look at a file may take; 10,000 episodes take 5 s."""
LOOK_S = 600.0
"""The same on a clock, for a disk that does not answer."""


class DatasetError(VilpError):
    """A set of episodes that cannot be read or written as asked."""


def open_hdf5(path: Path, mode: str = "r", **options: Any) -> h5py.File:
    """Opens a file.

    Raises:
        DatasetError: it is none, is damaged, or is being written by another program.
    """
    if path.is_file():
        state = path.stat()
        _look(path.absolute(), state.st_size, state.st_mtime_ns)
    try:
        return h5py.File(path, mode, **options)
    except BlockingIOError as error:
        raise DatasetError(
            f"{path} is open in another program ({_first_line(error)}): wait until that has ended"
        ) from error
    except Exception as error:
        found = _first_line(error)
        raise DatasetError(f"{path} is no HDF5 file, is damaged or cut off ({found})") from error


@contextmanager
def sentences(where: object) -> Iterator[None]:
    """Makes a `DatasetError` of whatever h5py says of damaged bytes, which is no fixed set."""
    try:
        yield
    except VilpError:
        raise
    except KeyError as error:
        raise DatasetError(f"{where} lacks what a dataset has ({_first_line(error)})") from error
    except Exception as error:
        raise DatasetError(f"{where} is damaged ({_first_line(error)})") from error


def array(dataset: h5py.Dataset, rows: Any = ()) -> np.ndarray:
    """What a dataset holds.

    Args:
        dataset: of numbers; parts that were never written count as damage, not as zeros.
        rows: an index of its first axis; everything by default.

    Raises:
        DatasetError: a part is missing, or its checksum is wrong.
    """
    where = f"{dataset.file.filename}, {dataset.name.removeprefix('/data/')}"
    with sentences(where):
        if dataset.dtype.kind not in "biuf":
            raise DatasetError(f"{where} holds {dataset.dtype}, expected numbers")
        if dataset.chunks:
            count = int(np.prod([-(-n // c) for n, c in zip(dataset.shape, dataset.chunks)]))
            found, checked = set(), _checksum_bit(dataset)
            whole = int(np.prod(dataset.chunks)) * dataset.dtype.itemsize
            end = os.path.getsize(dataset.file.filename)
            for index in range(min(dataset.id.get_num_chunks(), count + 1)):
                chunk = dataset.id.get_chunk_info(index)
                # The library crashes on a part that is shorter than its checksum.
                if (
                    not chunk.filter_mask & checked
                    and 4 < chunk.size + 4 * (not checked) <= 2 * whole + 1024
                    and chunk.byte_offset + chunk.size <= end
                    and all(
                        at % step == 0 and at < end_at
                        for at, step, end_at in zip(
                            chunk.chunk_offset, dataset.chunks, dataset.shape
                        )
                    )
                ):
                    found.add(chunk.chunk_offset)
            if len(found) != count:
                raise DatasetError(f"{where} is damaged ({len(found)} of {count} parts are there)")
        elif dataset.id.get_storage_size() != dataset.size * dataset.dtype.itemsize:
            raise DatasetError(f"{where} is damaged (cut off)")
        if CHECKSUMS not in dataset.attrs:  # of an older version, or another program
            return np.asarray(dataset[rows])
        return _checked_rows(dataset, rows, where)


def checksums(rows: np.ndarray) -> np.ndarray:
    """CRC-32 of every `BLOCK` rows, an attribute of what is written.

    HDF5's own say that a part is whole, not that it is the one which was put there.
    """
    starts = range(0, len(rows), BLOCK)
    return np.array([crc32(rows[at : at + BLOCK].tobytes()) for at in starts], np.uint32)


def _checked_rows(dataset: h5py.Dataset, rows: Any, where: str) -> np.ndarray:
    """Reads the blocks that rows lie in, whole."""
    expected = dataset.attrs[CHECKSUMS]
    wanted = np.arange(len(dataset))[rows]
    if len(expected) != -(-len(dataset) // BLOCK):
        raise DatasetError(f"{where} is damaged (it has not the length that was written)")
    if not len(wanted):
        return np.asarray(dataset[:0])
    blocks = np.unique(wanted // BLOCK)
    found = np.empty((len(wanted), *dataset.shape[1:]), dataset.dtype)
    # Runs of blocks, so that frames far apart cost no more than their own.
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1):
        first, end = int(run[0]), int(run[-1]) + 1
        rows_read = np.asarray(dataset[first * BLOCK : end * BLOCK])
        if wrong := np.flatnonzero(checksums(rows_read) != expected[first:end]).tolist():
            at = (first + wrong[0]) * BLOCK
            raise DatasetError(f"{where} is damaged (its checksum is wrong from row {at} on)")
        if len(run) == len(blocks) and len(rows_read) == len(wanted):
            return rows_read  # all of it, once
        here = (wanted // BLOCK >= first) & (wanted // BLOCK < end)
        found[here] = rows_read[wanted[here] - first * BLOCK]
    return found


def _checksum_bit(dataset: h5py.Dataset) -> int:
    """Of a part's mask of filters that were left out, which the checksum's may not be."""
    filters = dataset.id.get_create_plist()
    kinds = [filters.get_filter(index)[0] for index in range(filters.get_nfilters())]
    return 1 << kinds.index(h5py.h5z.FILTER_FLETCHER32) if dataset.fletcher32 else 0


def text(value: Any) -> str:
    """A string attribute, of fixed length or not.

    Raises:
        DatasetError: it is no string.
    """
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise DatasetError(f"found {value!r} where a text was expected")
    return value


def fixed(value: str) -> np.ndarray:
    """A string as an attribute that lies in the header, which has a checksum; its heap has none."""
    data = value.encode()
    return np.array(data, dtype=h5py.string_dtype("utf-8", max(len(data), 1)))


@lru_cache(maxsize=64)
def _look(path: Path, size: int, changed_ns: int) -> None:
    """Reads everything but the numbers of a file, in a process of its own."""
    with warnings.catch_warnings():
        # h5py holds its lock while it forks, and the child calls nothing but h5py.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        gc.disable()  # what others left here is theirs to end, on threads that are not here
        look(path)
    status = _ended(child, path)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGXCPU, signal.SIGKILL):
        # A fork of a process of many threads can die of these: one that has none decides.
        command = f"from vilp_ros.data.hdf5 import look; look({os.fspath(path)!r})"
        alone = subprocess.Popen([sys.executable, "-c", command])
        found = _ended(alone.pid, path)
        alone.returncode = os.waitstatus_to_exitcode(found)
        if alone.returncode <= 0:  # above, it could not look
            status = found
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        how = "never comes to an end" if number in (signal.SIGXCPU, signal.SIGKILL) else "crashes"
        raise DatasetError(
            f"{path} is damaged: the HDF5 library {how} on it; copy it anew from where it was made"
        )


def look(path: Path | str) -> NoReturn:
    """Reads everything but the numbers of a file, and ends the process: by a signal if it must."""
    with suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (LOOK_CPU_S, LOOK_CPU_S + 1))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _walk(Path(path))
    os._exit(0)


def _ended(child: int, path: Path) -> int:
    """How a process ended, as `waitpid` says it."""
    until = time.monotonic() + LOOK_S
    wait_s = 0.001
    try:
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            if time.monotonic() > until:
                raise DatasetError(f"{path} cannot be read: its disk gave nothing for {LOOK_S:g} s")
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 0.05)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def _walk(path: Path) -> None:
    """Errors are passed over: who reads the file after it has them too, and says so."""
    seen = set()

    def visit(item: h5py.Group | h5py.Dataset) -> None:
        if (place := h5py.h5o.get_info(item.id).addr) in seen:
            return
        seen.add(place)
        for name in item.attrs:
            with suppress(Exception):
                _ = item.attrs[name]
        if isinstance(item, h5py.Dataset):
            if item.chunks:
                item.id.get_num_chunks()
            return
        for name in item:
            with suppress(Exception):
                visit(item[name])

    with h5py.File(path, "r") as file, suppress(Exception):
        visit(file)


def _first_line(error: Exception) -> str:
    found = error.args[0] if isinstance(error, KeyError) and error.args else error
    return (str(found).splitlines() or [""])[0] or type(error).__name__


def notes_of(groups: Iterable[h5py.Group], key: str) -> set[str]:
    """What `info[key]` says in these episodes; numbers as `str` writes them."""
    found = (group.attrs.get(f"info.{key}") for group in groups)
    return {
        str(value) if isinstance(value, (int, float, np.number)) else text(value)
        for value in found
        if value is not None
    }
