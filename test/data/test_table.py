"""Frames of many episodes, laid end to end on disk."""

import shutil
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.table import PIECE, Source, load_table, write_frames

VIEW = "agentview"


def test_frames_lie_in_the_order_of_the_table(tmp_path):
    files = {"a": [3, 5, PIECE + 7], "b": [4, 2]}
    truth = {}
    for name, lengths in files.items():
        with EpisodeWriter(tmp_path / f"{name}.hdf5", task="lift") as writer:
            for seed, length in enumerate(lengths):
                made = make_episode(seed, length=length)
                truth[name, seed] = made.images[VIEW]
                writer.add(made)
    sources = [
        Source(str(tmp_path / "b.hdf5"), "expert", 1, 1),
        Source(str(tmp_path / "a.hdf5"), "expert"),
    ]
    write_frames(sources, VIEW, tmp_path / "frames.npy")
    want = np.concatenate([truth[key] for key in (("b", 1), ("a", 0), ("a", 1), ("a", 2))])
    with closing(DiskArray(tmp_path / "frames.npy")) as frames:
        np.testing.assert_array_equal(frames[:], want)
        assert len(frames) == len(load_table(sources, ()).ee_pose)


def test_what_cannot_be_laid_end_to_end_is_said(tmp_path, monkeypatch):
    path = tmp_path / "a.hdf5"
    with EpisodeWriter(path, task="lift") as writer:
        writer.add(make_episode(0, length=3))
        other = make_episode(1, length=3)
        other.images = {view: frames[:, :8] for view, frames in other.images.items()}
        writer.add(other)
    with pytest.raises(DatasetError, match="episodes of different sizes"):
        write_frames([Source(str(path), "expert")], VIEW, tmp_path / "frames.npy")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(DatasetError, match="name a --work on a larger disk"):
        write_frames([Source(str(path), "expert", 0, 1)], VIEW, tmp_path / "frames.npy")
    assert not (tmp_path / "frames.npy").exists()
