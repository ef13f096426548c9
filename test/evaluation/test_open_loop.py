"""Planned actions beside recorded ones: the errors are those of the arithmetic."""

import numpy as np
import pytest
from synthetic import make_episode

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import encode_episode
from vilp_ros.evaluation.imagination.open_loop import open_loop
from vilp_ros.policy.chunk_policy import Seen


class Told:
    """Plans what it is told: the pose of the moment, so many metres further along x."""

    class spec:  # noqa: N801
        n_action_steps, n_actions, views, method = 4, 8, (), "told"

    def __init__(self, off_m):
        self.off_m = off_m

    def noise(self, seed):
        return seed

    def encode(self, images, proprio, previous):
        return proprio

    def plan(self, state, noise):
        return state

    def act(self, plan, noise):
        action = np.concatenate([plan[:3] + [self.off_m, 0, 0], [1, 0, 0, 0, 0.08]])
        return np.tile(action, (8, 1))


def straight(speed=0.01):
    """A hand that goes along x, steadily."""
    episode = make_episode(0, length=30)
    episode.images = {}
    x = 0.4 + speed * np.arange(31)
    episode.ee_pose[:, :3] = np.stack([x, 0 * x, 0 * x + 0.3], axis=1)
    episode.actions[:, :3] = episode.ee_pose[1:, :3]
    return episode


def test_errors_of_policies_and_of_what_needs_no_learning():
    report = open_loop({"near": Told(0.01), "far": Told(0.5)}, [straight()], stride=4)
    rows = report["rows"]
    assert report["plans"] == 7
    assert rows["standing still"]["position_mm"]["mean"] == pytest.approx(25, abs=0.1)
    assert rows["standing still"]["last"]["position_mm"]["mean"] == pytest.approx(40, abs=0.1)
    assert rows["going on"]["position_mm"]["mean"] == pytest.approx(0, abs=0.1)
    assert rows["near"]["position_mm"]["mean"] == pytest.approx(15, abs=0.1)
    assert rows["far"]["position_mm"]["mean"] == pytest.approx(475, abs=0.5)
    assert rows["near"]["rotation_deg"]["mean"] == pytest.approx(0, abs=0.01)
    assert rows["near"]["gripper_accuracy"] == 1.0


class Chunks(Told):
    """A method of another package, whose state is the observation itself."""

    def encode(self, images, proprio, previous):
        return Seen(images, proprio, previous)

    def plan(self, state, noise):
        np.testing.assert_allclose(state.proprio[0] - state.previous[0], 0.01, atol=1e-6)
        return state.proprio


def test_a_state_may_be_whatever_a_method_makes_of_it():
    report = open_loop({"near": Chunks(0.01)}, [straight()], stride=4)
    assert report["rows"]["near"]["position_mm"]["mean"] == pytest.approx(15, abs=0.1)
    with pytest.raises(VilpError, match="are no latents"):
        encode_episode(Chunks(0.01), straight())


def test_disturbed_steps_do_not_count_and_actions_are_needed():
    episode = straight()
    episode.disturbed[:] = True
    with pytest.raises(VilpError, match="no episode with actions"):
        open_loop({"near": Told(0)}, [episode])
    short = Told(0)
    short.spec = type("spec", (Told.spec,), {"n_action_steps": 12})
    with pytest.raises(VilpError, match="plans 8 actions, 12 are compared"):
        open_loop({"near": short}, [straight()])
