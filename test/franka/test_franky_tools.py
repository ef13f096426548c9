"""The script that demonstrates in franky-sim's scene, in a world of its own; how runs are counted;
slow: one demonstration over the real nodes, to a dataset.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from robots import FR3, HOME_JOINTS

from tools.franky_lift.evaluate import HELD_S, Held, summary
from tools.franky_lift.expert import Demonstration
from tools.franky_lift.world import CUBE_M, HIGH, LOW, TASK, lifted, place
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.kinematics.franka import FrankaKinematics

ROOT = Path(__file__).parents[2]
ARM = FrankaKinematics("fr3", FR3.limits.joint_position)
PERIOD_S, LATE = 0.05, 4


class Toy:
    """An arm that is where it was led to `LATE` periods ago, fingers of 0.1 m/s, and a cube."""

    def __init__(self, seed: int) -> None:
        self.joints, self.width = HOME_JOINTS, 0.08
        self.cube = np.array([*place(seed), CUBE_M / 2, 0, 0, 0, 1.0])
        self._led = deque([HOME_JOINTS] * LATE)

    def take(self, joints: np.ndarray, width: float) -> None:
        hand = ARM.forward(self.joints)[:3]
        self._led.append(joints)
        self.joints = self._led.popleft()
        off = np.abs(hand - self.cube[:3])
        between = off[0] < 0.01 and off[1] < (self.width - CUBE_M) / 2 + 0.003 and off[2] < 0.012
        least = CUBE_M if between and self.width >= CUBE_M else 0.0
        self.width = max(least, self.width + np.clip(width - self.width, -0.005, 0.005))
        if between and self.width == CUBE_M:
            self.cube[:3] += ARM.forward(self.joints)[:3] - hand


def demonstrate(seed: int, noise: float):
    toy, steps = Toy(seed), []
    demonstration = Demonstration(FR3, HOME_JOINTS, seed, noise)
    while not demonstration.done:
        steps.append(demonstration.step(toy.joints, toy.width, toy.cube))
        toy.take(steps[-1].motion.action[:7], steps[-1].width)
    return toy, steps


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 600_000))
@example(seed=512)  # its noise points where a joint would jump
def test_the_script_lifts_the_cube_wherever_it_lies_and_stays_within_the_limits(seed):
    toy, steps = demonstrate(seed, noise=0.25)
    assert lifted(toy.cube)
    joints = np.array([s.motion.action[:7] for s in steps])
    speeds = np.abs(np.diff(joints, axis=0)) / PERIOD_S
    assert (speeds <= np.array(FR3.limits.joint_velocity) + 1e-6).all()
    for step in steps:
        np.testing.assert_allclose(ARM.forward(step.motion.action[:7]), step.pose, atol=1e-9)
        assert step.pose[2] > 0


def test_without_noise_it_takes_few_seconds_and_says_of_no_step_that_it_is_disturbed():
    _, steps = demonstrate(3, noise=0.0)
    assert len(steps) * PERIOD_S < 8
    assert not any(step.pushed for step in steps)
    assert any(step.pushed for step in demonstrate(3, noise=0.25)[1])


def test_places_are_drawn_by_seed_from_the_whole_rectangle():
    places = np.array([place(seed) for seed in range(200)])
    assert (places >= LOW).all()
    assert (places <= HIGH).all()
    assert (np.ptp(places, axis=0) > 0.9 * (HIGH - LOW)).all()
    np.testing.assert_array_equal(place(7), places[7])


def test_an_episode_ends_when_the_cube_was_held_up_or_the_time_is_over():
    held = Held(limit_s=20)
    assert not held.over(1.0, up=True)
    assert not held.over(2.0, up=False)  # dropped: it begins anew
    assert not held.over(2.5, up=True)
    assert not held.over(1.0 + HELD_S + 1.0, up=True)
    assert held.over(2.5 + HELD_S, up=True)
    assert held.over(20.0, up=False)


def test_the_summary_counts_lifts_and_reflexes():
    report = summary([{"lifted": k < 3, "reflexes": k} for k in range(4)])
    assert (report["lifted"], report["episodes"], report["reflexes"]) == (3, 4, 6)
    assert report["wilson_95"][0] < 0.75 < report["wilson_95"][1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_demonstration_over_the_real_nodes_becomes_an_episode_with_actions(tmp_path):
    subprocess.run([ROOT / "tools/franky_lift/serve.sh", "setup"], check=True, timeout=600)
    bags, out = tmp_path / "bags", tmp_path / "franky.hdf5"
    script = ("-m", "tools.franky_lift.record", "--out", bags, "--episodes", "1", "--noise", "0")
    subprocess.run([sys.executable, *script], check=True, cwd=ROOT)
    subprocess.run([sys.executable, "-m", "vilp_ros", "convert", bags, "--out", out], check=True)
    file = EpisodeFile(out)
    (episode,) = [file.read(index, file.views) for index in range(len(file))]
    assert (episode.role, episode.success, file.task) == ("expert", True, TASK)
    # An action is where the hand is to be a control period later; franky-sim's arm is late by two.
    led, came = episode.actions[:, :3], episode.ee_pose[1:, :3]
    off = [np.linalg.norm(led[: len(led) - k] - came[k:], axis=1) for k in range(5)]
    assert np.argmin([np.median(o) for o in off]) <= 2
    assert np.median(off[2]) < 0.005
    assert episode.actions[-1, 7] < CUBE_M
