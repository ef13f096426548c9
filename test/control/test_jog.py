"""A person can only send what a policy could have sent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.contract import Contract
from vilp_ros.control.action import difference
from vilp_ros.control.jog import LEASH_M, LEASH_RAD, Jog
from vilp_ros.control.limits import UnsafeCommandError
from vilp_ros.share import share_dir

LIMITS = Contract.load(share_dir() / "config/robots/sim_panda.yaml").limits
START = np.array([0.45, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0, 0.08])
DT = 0.02
deflection = st.lists(st.floats(-3, 3), min_size=6, max_size=6).map(np.array)


def test_the_target_moves_as_fast_as_the_stick_says():
    jog, measured = Jog(LIMITS, linear=0.2), START.copy()
    for _ in range(50):
        measured = jog.step(np.array([0.5, 0, 0, 0, 0, 0]), measured, DT)
    np.testing.assert_allclose(measured[:3], [0.55, 0, 0.2], atol=1e-9)
    np.testing.assert_allclose(measured[3:], START[3:], atol=1e-9)


def test_the_gripper_opens_and_closes_in_time():
    jog, measured = Jog(LIMITS, fingers=0.1), START.copy()
    jog.step(np.zeros(6), measured, DT)
    jog.grip()
    for _ in range(20):
        measured = jog.step(np.zeros(6), measured, DT)
    assert measured[7] == pytest.approx(0.04)
    for _ in range(60):
        measured = jog.step(np.zeros(6), measured, DT)
    assert measured[7] == LIMITS.gripper_width[0]


@given(st.lists(deflection, min_size=1, max_size=40), st.floats(0.001, 0.5))
def test_no_hand_leaves_the_limits_or_runs_away_from_an_arm_that_is_held(twists, dt_s):
    jog, before = Jog(LIMITS, linear=1.0, angular=2.0), START
    for twist in twists:
        command = jog.step(twist, START, dt_s)
        for axis, value in zip("xyz", command):
            low, high = LIMITS.workspace[axis]
            assert low - 1e-9 <= value <= high + 1e-9
        ahead = difference("ee_pose", START, command)
        assert np.linalg.norm(ahead[:3]) <= LEASH_M + 1e-6
        assert np.linalg.norm(ahead[3:6]) <= LEASH_RAD + 1e-6
        step = difference("ee_pose", before, command)
        assert np.linalg.norm(step[:3]) <= LIMITS.ee_speed * 0.1 + 1e-6
        before = command


def test_after_a_release_it_starts_where_the_arm_is():
    jog = Jog(LIMITS)
    jog.step(np.ones(6), START, DT)
    jog.release()
    elsewhere = START + [0.1, 0.1, 0.1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(jog.step(np.zeros(6), elsewhere, DT), elsewhere, atol=1e-12)


def test_a_state_that_is_not_finite_moves_nothing():
    bad = START.copy()
    bad[1] = np.nan
    with pytest.raises(UnsafeCommandError, match="y is nan"):
        Jog(LIMITS).step(np.zeros(6), bad, DT)
