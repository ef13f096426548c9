"""An episode of a demo on disk: everything that was seen on the topics, in a few megabytes.

Pictures are stored as JPEG, end to end with their lengths: arrays of one type need no pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.demo.run_report import EpisodeLog

QUALITY = 90
_TRACKS = ("joints", "arm", "targets", "paths")
_PAIRS = ("plans", "commands")


def save_episode(log: EpisodeLog, path: Path) -> None:
    """Writes one episode.

    Args:
        log: finished, with its pictures.
        path: the .npz file.
    """
    arrays: dict[str, Any] = {
        "seed": log.seed,
        "span_s": np.array([log.began_s, log.ended_s]),
        "success_s": np.nan if log.success_s is None else log.success_s,
        "offsets_s": np.array(log.offsets_s),
        "views": np.array(list(log.images)),
    }
    for view, frames in log.images.items():
        arrays |= _pictures(f"images.{view}", frames)
    for view in log.images if log.decoded else ():
        strips = [(stamp, np.concatenate(list(frames[view]))) for stamp, frames in log.decoded]
        arrays |= _pictures(f"decoded.{view}", strips)
    for name in _TRACKS:
        track = getattr(log, name)
        arrays[f"{name}.stamps"] = np.array([stamp for stamp, _ in track])
        arrays[f"{name}.values"] = np.array([value for _, value in track], np.float32)
    for name in _PAIRS:
        arrays[name] = np.array(getattr(log, name), float).reshape(-1, 2)
    names = sorted({name for _, gap in log.gaps for name in gap})
    arrays["gaps.names"] = np.array(names, dtype=str)
    arrays["gaps.stamps"] = np.array([stamp for stamp, _ in log.gaps])
    arrays["gaps.values"] = np.array(
        [[gap.get(name, np.nan) for name in names] for _, gap in log.gaps]
    ).reshape(len(log.gaps), len(names))
    np.savez(path, **arrays)


def load_episode(path: Path) -> EpisodeLog:
    """Reads one episode.

    Raises:
        VilpError: the file is missing or none of these.
    """
    try:
        with np.load(path) as file:
            return _read(dict(file))
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise VilpError(f"{path} is no episode of a demo ({error}): run `vilp demo`") from error


def _read(arrays: dict[str, np.ndarray]) -> EpisodeLog:
    views = [str(view) for view in arrays["views"]]
    success_s = float(arrays["success_s"])
    began_s, ended_s = (float(s) for s in arrays["span_s"])
    log = EpisodeLog(
        int(arrays["seed"]),
        began_s,
        ended_s,
        success_s=None if np.isnan(success_s) else success_s,
        offsets_s=tuple(arrays["offsets_s"].tolist()),
    )
    log.images = {view: _frames(arrays, f"images.{view}") for view in views}
    decoded = {v: _frames(arrays, f"decoded.{v}") for v in views if f"decoded.{v}" in arrays}
    for i, (stamp, _) in enumerate(next(iter(decoded.values()), [])):
        rows = {v: np.stack(np.split(s[i][1], len(log.offsets_s))) for v, s in decoded.items()}
        log.decoded.append((stamp, rows))
    for name in _TRACKS:
        stamps = arrays[f"{name}.stamps"].tolist()
        setattr(log, name, list(zip(stamps, arrays[f"{name}.values"], strict=True)))
    for name in _PAIRS:
        setattr(log, name, [(float(a), float(b)) for a, b in arrays[name]])
    names = [str(name) for name in arrays["gaps.names"]]
    for stamp, values in zip(arrays["gaps.stamps"].tolist(), arrays["gaps.values"], strict=True):
        finite = {n: float(x) for n, x in zip(names, values, strict=True) if np.isfinite(x)}
        log.gaps.append((stamp, finite))
    return log


def _pictures(name: str, frames: Sequence[tuple[float, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = [
        cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        for _, image in frames
    ]
    return {
        name: np.concatenate(parts) if parts else np.zeros(0, np.uint8),
        f"{name}.sizes": np.array([len(part) for part in parts], np.int64),
        f"{name}.stamps": np.array([stamp for stamp, _ in frames]),
    }


def _frames(arrays: dict[str, np.ndarray], name: str) -> list[tuple[float, np.ndarray]]:
    ends = np.cumsum(arrays[f"{name}.sizes"])
    parts = np.split(arrays[name], ends[:-1]) if len(ends) else []
    stamps = arrays[f"{name}.stamps"].tolist()
    return [(s, cv2.imdecode(p, cv2.IMREAD_COLOR)[..., ::-1]) for s, p in zip(stamps, parts)]
