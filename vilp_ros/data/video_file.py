"""Frames of video files, decoded with PyAV (AV1, H.264, mpeg4, ...) and scaled as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.pointer import check_whole
from vilp_ros.data.scaling import Size, fit
from vilp_ros.errors import VilpError

SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")


class Clip(NamedTuple):
    """Part of a file.

    Attributes:
        frames: `(N, H, W, 3)` uint8 rgb.
        times: `(N,)` seconds in the file.
    """

    frames: np.ndarray
    times: np.ndarray


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import av
    except ImportError as error:
        raise VilpError(f"videos need PyAV ({error}): `pip install av`") from None
    check_whole(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{path} holds no video")
            yield container
    except VilpError:
        raise
    except Exception as error:  # of damaged bytes libav says anything
        said = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path} cannot be decoded ({said}): is it whole?") from error


def read_clip(
    path: Path,
    size: Size,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Clip:
    """Frames from `start_s` up to `end_s` (not included), each scaled by `fit`.

    Raises:
        VilpError: PyAV is missing; the file is missing, a pointer, or cannot be decoded.
    """
    frames, times = [], []
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        early_s = 0.5 / float(stream.average_rate or 30)
        begin_s = float((stream.start_time or 0) * stream.time_base)
        if start_s:
            container.seek(int((begin_s + start_s) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            time_s = float(frame.pts * stream.time_base) - begin_s
            if start_s is not None and time_s < start_s - early_s:
                continue
            if end_s is not None and time_s >= end_s - early_s:
                break
            frames.append(fit(frame.to_ndarray(format="rgb24"), size))
            times.append(time_s)
    if not frames:
        raise DatasetError(f"{path} has no frame from {start_s or 0:g} s on")
    return Clip(np.stack(frames), np.asarray(times))


def frame_times(path: Path) -> np.ndarray:
    """Times `(N,)` of all frames, s; decodes nothing.

    Raises:
        VilpError: as `read_clip`.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        stamps = [p.pts for p in container.demux(stream) if p.pts is not None]
        times = np.sort(np.array(stamps, np.float64)) * float(stream.time_base)
    return times - times[0] if len(times) else times


def describe(path: Path) -> tuple[Size, float, str]:
    """(height, width), frames a second and codec of a file.

    Raises:
        VilpError: as `read_clip`.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 0)
        if stream.height < 1 or stream.width < 1:
            raise DatasetError(f"{path} says that its pictures are {stream.height}x{stream.width}")
        return (stream.height, stream.width), rate, str(stream.codec_context.codec.name)
