import numpy as np

from vilp_ros.ros.target import Target

HOME = np.array([0.4, 0, 0.3, 1, 0, 0, 0])
AWAY = np.array([0.5, 0, 0.3, 1, 0, 0, 0])


def make():
    target = Target()
    target.reset(HOME, 0.08, now_s=100.0)
    return target


def test_it_keeps_what_was_commanded_last():
    target = make()
    np.testing.assert_array_equal(target.action(), [*HOME, 0.08])
    assert target.move_arm(100.1, AWAY) is None
    assert target.move_gripper(100.1, 0.02) is None
    np.testing.assert_array_equal(target.action(), [*AWAY, 0.02])


def test_commands_from_before_the_reset_are_refused():
    target = make()
    assert target.move_arm(99.9, AWAY) == "target refused: 0.100 s older than the reset"
    np.testing.assert_array_equal(target.action()[:7], HOME)
    assert target.move_arm(0.0, AWAY) is None  # a zero stamp means now


def test_nonsense_is_refused():
    target = make()
    assert "not finite" in target.move_arm(101.0, AWAY * np.nan)
    assert "not finite" in target.move_gripper(101.0, float("inf"))
    np.testing.assert_array_equal(target.action(), [*HOME, 0.08])
