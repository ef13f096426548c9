"""Processes that train together learn what one alone does, and any number goes on with a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vilp_ros.policy.diffusion import Random

STEPS, CUT = 60, 25


def ranks(count, folder, *words):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", str(count), str(Path(__file__).parents[1] / "support/ranks.py")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [*launch, str(folder), "64", str(STEPS), *map(str, words)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = folder / "found.json"
    return json.loads(found.read_text()) if found.is_file() else None


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return ranks(1, tmp_path_factory.mktemp("alone"))


def assert_same(found, alone):
    curves = [np.array(list(x["curve"].values())) for x in (found, alone)]
    assert curves[1][0] > 1.3 * curves[1][-1]  # something was learned
    np.testing.assert_allclose(curves[0], curves[1], rtol=0.002)
    # bf16 rounds at each step; another batch ends twenty times as far away.
    apart = np.linalg.norm(np.subtract(found["weights"], alone["weights"]))
    assert apart < 0.01 * np.linalg.norm(alone["weights"])


@pytest.mark.slow
def test_twice_32_learn_what_64_do(alone, tmp_path):
    found = ranks(2, tmp_path)
    assert found["processes"] == 2
    assert_same(found, alone)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(alone, tmp_path):
    assert ranks(1, tmp_path, CUT) is None
    assert_same(ranks(2, tmp_path), alone)


@pytest.mark.parametrize("rows", [6, 7])
def test_a_row_has_the_same_numbers_in_whichever_process(rows):
    cpu = torch.device("cpu")
    for draw in (lambda r, n: r.normal(n, 2), lambda r, n: r.integers(0, 9, n)):
        whole = draw(Random(3, cpu), rows)
        for index in range(2):
            mine = whole[index::2]
            assert torch.equal(draw(Random(3, cpu, (index, 2, rows)), len(mine)), mine)


def test_what_is_not_a_row_each_differs_between_processes():
    drawn = [Random(3, torch.device("cpu"), (index, 2, 8)).normal(3, 2) for index in range(2)]
    assert not torch.equal(*drawn)
