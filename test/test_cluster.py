"""Work on a Ray cluster gives what one machine gives, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from bags import write_bag
from ray_nodes import RayNodes, possible, read_until

from vilp_ros.cluster import _there, processes
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.errors import VilpError
from vilp_ros.sim.collect import collect

VILP = (sys.executable, "-m", "vilp_ros")
COLLECT = (*VILP, "collect", "--task", "lift", "--noise", "0", "--episodes", "8", "--out")

on_ray = pytest.mark.skipif(not possible(), reason="needs Ray, root and `ip netns`")


@pytest.fixture
def nodes():
    found = RayNodes(1, 1)
    yield found
    found.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """What one machine collects."""
    path = tmp_path_factory.mktemp("local") / "episodes.hdf5"
    collect("lift", path, 8, 0, noise=0.0)
    return by_seed(path)


def by_seed(path):
    file = EpisodeFile(path)
    episodes = [file[i] for i in range(len(file))]
    file.close()
    found = {(e.seed, e.info["mode"]): e for e in episodes}
    assert len(found) == len(episodes)
    return found


def assert_same(path, local):
    found = by_seed(path)
    assert found.keys() == local.keys()
    for key, episode in found.items():
        np.testing.assert_array_equal(episode.actions, local[key].actions)
        for view, frames in episode.images.items():
            np.testing.assert_array_equal(frames, local[key].images[view])


def test_without_ray_the_extra_is_named(tmp_path):
    command = [*COLLECT, str(tmp_path / "a.hdf5"), "--cluster", "auto"]
    (tmp_path / "ray.py").write_text("raise ImportError")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "vilp: --cluster needs Ray: pip install 'vilp_ros[cluster]'\n"


def test_a_worker_of_this_machine_that_is_killed_is_said_in_words():
    with pytest.raises(VilpError, match="a worker process was killed"), processes(1) as pool:
        pool.submit(os._exit, 1).result()


@pytest.mark.parametrize(
    ("folder", "installed", "says"),
    [
        (".", ("torch 1.0",), r"has vilp_ros \w+, .*, not torch 1\.0: install the same"),
        ("/nowhere", (), "has no folder /nowhere: all nodes must see the same files"),
    ],
)
def test_a_node_that_would_give_other_results_is_refused(folder, installed, says):
    pytest.importorskip("ray")
    with pytest.raises(VilpError, match=says):
        _there((folder, installed), max, (1, 2), {})


@pytest.mark.slow
@on_ray
def test_an_evaluation_is_the_local_one_seed_by_seed(nodes, tmp_path):
    command = [*VILP, "eval", "--bundle", "models/ldp_lift", "--controls", "blind"]
    command += ["--task", "lift_wide", "--episodes", "6", "--json"]
    subprocess.run([*command, str(tmp_path / "here.json")], check=True, capture_output=True)
    there = [*command, str(tmp_path / "there.json"), "--cluster", nodes.head]
    said = nodes.on_head(*there, stdout=subprocess.PIPE).communicate()[0]
    here, there = (json.loads((tmp_path / f"{x}.json").read_text()) for x in ("here", "there"))
    for figures in (here, there):
        for row in (figures, figures["controls"]["blind"]):
            del row["seconds"]
        del figures["command"]
    assert there == here
    done = dict(line.split(": ") for line in said.strip().split("\n")[-1].split(", "))
    assert done.keys() == {nodes.address(0), nodes.address(1)}
    assert sum(int(text.split()[0]) for text in done.values()) == 12


@pytest.mark.slow
@on_ray
def test_bags_become_the_file_that_one_machine_makes(nodes, tmp_path):
    for i in range(4):
        write_bag(tmp_path / f"bags/{i}", labels={"seed": str(i)})
    (tmp_path / "bags/3/metadata.yaml").write_text("no bag")
    command = [*VILP, "convert", str(tmp_path / "bags"), "--no-sheets", "--out"]
    here = subprocess.run([*command, str(tmp_path / "here.hdf5")], capture_output=True, text=True)
    on_nodes = [*command, str(tmp_path / "there.hdf5"), "--cluster", nodes.head]
    for found in (": 3 bags converted", ": 0 bags converted"):
        process = nodes.on_head(*on_nodes, stdout=subprocess.PIPE)
        said = process.communicate()[0].splitlines()
        assert process.returncode == here.returncode == 1
        assert said[-3].startswith("not converted")
        assert found in said[-2]
        assert said[-1].startswith(f"{nodes.address(0)}: ")
    assert contents(tmp_path / "there.hdf5") == contents(tmp_path / "here.hdf5")


def contents(path):
    """All that an HDF5 file says."""
    found = {}

    def look(name, item):
        found[name] = {key: str(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            found[name] |= {"is": (item.dtype, item.shape, item[()].tobytes())}

    with h5py.File(path) as file:
        file.visititems(look)
    assert found
    return found


@pytest.mark.slow
@on_ray
@pytest.mark.parametrize("what", ["worker", "node"])
def test_what_is_killed_is_done_again(nodes, tmp_path, local, what):
    path = tmp_path / "episodes.hdf5"
    command = (*COLLECT, str(path), "--cluster", nodes.head)
    process = nodes.on_head(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # Both nodes are at an episode, and some are done.
    read_until(
        process.stderr,
        lambda said: any(f"{k}/8" in said for k in range(1, 8)) and nodes.working(1),
    )
    if what == "node":
        nodes.kill(1)
    else:
        os.kill(nodes.working(1)[0], signal.SIGKILL)
    said, told = process.communicate()
    assert process.returncode == 0, told
    assert f"{nodes.address(1)}: " in said.split("\n")[-2]
    assert_same(path, local)
