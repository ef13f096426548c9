"""The zarr layout of diffusion_policy (`ReplayBuffer`): `data/<key>`, `meta/episode_ends`.

Zarr version 2 is a folder of small JSON files and chunks (zarr-specs.readthedocs.io), written here
with zlib and read with zlib or, where numcodecs is installed, whatever it knows.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vilp_ros.data.aim import aim
from vilp_ros.data.columns import Continuous, Import, Meta, columns, from_columns, named
from vilp_ros.data.episode import Episode
from vilp_ros.data.hdf5 import DatasetError, sentences
from vilp_ros.errors import VilpError

CHUNK = 16
_OURS = "vilp_ros"


class _Array:
    """One array that grows along its first axis; whole chunks go to the disk."""

    def __init__(self, folder: Path, like: np.ndarray) -> None:
        self._folder, self._kind, self._shape = folder, like.dtype, like.shape[1:]
        self._rows: list[np.ndarray] = []
        self._length = 0
        folder.mkdir(parents=True)

    def append(self, rows: np.ndarray) -> None:
        for row in rows:
            self._rows.append(row)
            self._length += 1
            if len(self._rows) == CHUNK:
                self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        meta = {
            "zarr_format": 2,
            "shape": [self._length, *self._shape],
            "chunks": [CHUNK, *self._shape],
            "dtype": self._kind.str,
            "compressor": {"id": "zlib", "level": 1},
            "fill_value": 0,
            "order": "C",
            "filters": None,
        }
        (self._folder / ".zarray").write_text(json.dumps(meta))

    def _flush(self) -> None:
        number = (self._length - 1) // CHUNK
        chunk = np.zeros((CHUNK, *self._shape), self._kind)
        chunk[: len(self._rows)] = np.stack(self._rows)
        self._rows = []
        name = ".".join(map(str, (number, *(0 for _ in self._shape))))
        (self._folder / name).write_bytes(zlib.compress(chunk.tobytes(), 1))


class ZarrWriter:
    """Writes episodes end to end, T + 1 frames each; the last action of an episode is repeated.

    Args:
        path: the folder.
        meta: of the dataset.
    """

    def __init__(self, path: Path, meta: Meta) -> None:
        path.mkdir(parents=True)
        self._path, self._meta = path, meta
        self._turned = Continuous(meta.action_kind)
        self._arrays: dict[str, _Array] = {}
        self._ends: list[int] = []
        self._labels: list[dict[str, Any]] = []

    def add(self, episode: Episode) -> None:
        """Writes one."""
        episode.check(self._meta.action_kind)
        rows = {f"{view}_image": frames for view, frames in episode.images.items()}
        pose, told = self._turned(episode)
        rows |= {key: np.asarray(v, np.float32) for key, v in columns(episode, pose).items()}
        actions = np.zeros((len(episode), 8)) if told is None else told
        rows["action"] = np.asarray(np.concatenate([actions, actions[-1:]]), np.float32)
        rows["disturbed"] = np.append(episode.disturbed, False).astype(np.uint8)
        for key, values in rows.items():
            if key not in self._arrays:
                self._arrays[key] = _Array(self._path / "data" / key, values)
            self._arrays[key].append(values)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(episode) + 1)
        labels = {"role": episode.role, "success": episode.success, "seed": episode.seed}
        self._labels.append({**labels, "info": episode.info})

    def close(self) -> None:
        """Writes the shapes, the ends of the episodes and our labels."""
        ends = _Array(self._path / "meta" / "episode_ends", np.zeros(1, np.int64))
        ends.append(np.array(self._ends, np.int64))
        for array in (*self._arrays.values(), ends):
            array.close()
        for group in (self._path, self._path / "data", self._path / "meta"):
            group.mkdir(exist_ok=True)
            (group / ".zgroup").write_text('{"zarr_format": 2}')
        meta = {"task": self._meta.task, "control_period_s": self._meta.control_period_s}
        meta["action_kind"] = self._meta.action_kind
        body = {_OURS: {**meta, "episodes": self._labels}}
        (self._path / ".zattrs").write_text(json.dumps(body))


def read(path: Path, task: str = "") -> tuple[Meta, Iterator[Import | VilpError]]:
    """Episodes of a folder, or of a `.zarr.zip`.

    Raises:
        DatasetError: it is no such dataset, or compressed in a way that is unknown here.
    """
    root: Any = zipfile.Path(path) if path.suffix == ".zip" else path
    if not (root / "meta" / "episode_ends" / ".zarray").is_file():
        raise DatasetError(f"{path} has no meta/episode_ends: it is no diffusion_policy dataset")
    ours: dict[str, Any] = {}
    if (root / ".zattrs").is_file():
        ours = json.loads((root / ".zattrs").read_text()).get(_OURS, {})
    if not (task or ours):
        raise DatasetError(f"{path} does not say what was done: name it with --task")
    meta = Meta(
        task or ours["task"],
        ours.get("control_period_s", 0.1),
        ours.get("action_kind", "ee_pose"),
    )
    return meta, _episodes(root, ours.get("episodes", []), str(path))


def _episodes(root: Any, labels: list[dict[str, Any]], where: str) -> Iterator[Import | VilpError]:
    ends = _load(root / "meta" / "episode_ends", None)
    keys = [child.name for child in (root / "data").iterdir() if (child / ".zarray").is_file()]
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends)):
        name = f"{where}, episode {number}"
        try:
            with sentences(name):
                found = {key: _load(root / "data" / key, (int(start), int(end))) for key in keys}
                episode = _episode(found, dict(labels[number]) if labels else {}, name)
                episode.check(where=name)
                if not labels:  # another's
                    aim(episode)
        except VilpError as error:
            yield named(error, Path(where), name)
            continue
        yield Import(name, f"{number}:{episode.digest()}", episode)


def _episode(found: dict[str, np.ndarray], rest: dict[str, object], where: str) -> Episode:
    actions, disturbed = found.pop("action", None), found.pop("disturbed", None)
    if rest.get("role") == "action_free" or actions is None or actions.shape[1] != 8:
        actions = None
    if disturbed is not None:
        rest["disturbed"] = disturbed[:-1].astype(bool)
    return from_columns(found, None if actions is None else actions[:-1], where, **rest)


def _load(folder: Any, span: tuple[int, int] | None) -> np.ndarray:
    """Rows of an array; all of them by default."""
    meta = json.loads((folder / ".zarray").read_text())
    shape, chunks = meta["shape"], meta["chunks"]
    start, end = span or (0, shape[0])
    out = np.full((end - start, *shape[1:]), meta["fill_value"] or 0, np.dtype(meta["dtype"]))
    counts = [range(-(-n // c)) for n, c in zip(shape[1:], chunks[1:])]
    separator = meta.get("dimension_separator", ".")
    for first in range(start // chunks[0], -(-end // chunks[0])):
        for others in product(*counts):
            file = folder / separator.join(map(str, (first, *others)))
            if not file.is_file():
                continue
            plain = _decoded(file.read_bytes(), meta)
            chunk = np.frombuffer(plain, out.dtype).reshape(chunks, order=meta["order"])
            low, high = max(start, first * chunks[0]), min(end, (first + 1) * chunks[0])
            corner = tuple(
                slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(others, chunks[1:], shape[1:])
            )
            inside = tuple(slice(0, s.stop - s.start) for s in corner)
            rows = slice(low - first * chunks[0], high - first * chunks[0])
            out[(slice(low - start, high - start), *corner)] = chunk[(rows, *inside)]
    return out


def _decoded(data: bytes, meta: dict[str, Any]) -> bytes:
    codec = meta["compressor"]
    if meta["filters"]:
        raise DatasetError(f"arrays with filters {meta['filters']} are unknown here")
    if codec is None:
        return data
    if codec["id"] == "zlib":
        return zlib.decompress(data)
    try:
        numcodecs = import_module("numcodecs")
    except ImportError:
        raise DatasetError(
            f"the dataset is compressed with {codec['id']}: `pip install numcodecs` (and "
            "imagecodecs for jpeg2k)"
        ) from None
    return bytes(numcodecs.get_codec(codec).decode(data))
