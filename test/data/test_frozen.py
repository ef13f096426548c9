import numpy as np

from vilp_ros.data.frozen import FROZEN_S, FrozenWatch

PICTURE, OTHER = b"picture", b"other"


def hand(watch, stamp_s, x):
    watch.moved(stamp_s, np.array([x, 0, 0]))


def test_the_same_picture_while_the_hand_moves_is_refused():
    watch = FrozenWatch()
    hand(watch, 0.0, 0.0)
    assert watch.check("left", 0.0, PICTURE) is None
    hand(watch, 0.1, 0.009)
    assert watch.check("left", 0.1, PICTURE) is None
    hand(watch, 0.2, 0.012)
    says = "frozen: the same picture while the hand moved by 12 mm"
    assert watch.check("left", 0.2, PICTURE) == says
    assert watch.check("right", 0.2, PICTURE) is None
    assert watch.check("left", 0.3, OTHER) is None
    assert watch.check("left", 0.4, PICTURE) is None
    assert str(watch.found["left"]) == "the same picture for 0.2 s while the hand moved by 12 mm"


def test_a_scene_that_stands_still_is_not_a_frozen_camera():
    """However long, while the hand rests; nor pictures that come late of a hand that rested."""
    watch = FrozenWatch()
    for k in range(1000):
        hand(watch, 0.05 * k, 1e-5 * (k % 7))
        assert watch.check("left", 0.05 * k, PICTURE) is None
    for k in range(1000, 1004):
        hand(watch, 0.05 * k, 0.01 * (k - 999))
    for k in range(997, 1000):  # 200 ms late: the hand has moved by now, but not by then
        assert watch.check("left", 0.05 * k + 0.01, PICTURE) is None
    assert watch.check("left", 0.05 * 1002, PICTURE) is not None


def test_an_episode_is_spoiled_by_a_second_and_not_by_a_few_pictures():
    watch = FrozenWatch(FROZEN_S)
    for k in range(40):
        hand(watch, 0.05 * k, 0.01 * k)
        watch.check("left", 0.05 * k, k // 15)
        watch.check("right", 0.05 * k, k // 30)
    assert set(watch.found) == {"right"}
    assert watch.found["right"].seconds == 29 * 0.05


def test_without_the_hand_nothing_is_said():
    watch = FrozenWatch()
    assert watch.check("left", 0.0, PICTURE) is None
    assert watch.check("left", 9.0, PICTURE) is None
