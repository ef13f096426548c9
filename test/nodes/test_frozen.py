import numpy as np

from vilp_ros.nodes.frozen import FrozenWatch

PICTURE = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)


def test_the_same_picture_while_the_hand_moves_is_refused():
    watch = FrozenWatch()
    watch.moved(np.zeros(3))
    assert watch.check("left", PICTURE) is None
    watch.moved(np.array([0.009, 0, 0]))
    assert watch.check("left", PICTURE) is None
    watch.moved(np.array([0.012, 0, 0]))
    says = "frozen: the same picture while the hand moved by 12 mm"
    assert watch.check("left", PICTURE) == says
    assert watch.check("right", PICTURE) is None
    assert watch.check("left", PICTURE + 1) is None
    assert watch.check("left", PICTURE) is None


def test_without_the_hand_nothing_is_said():
    watch = FrozenWatch()
    assert watch.check("left", PICTURE) is None
    assert watch.check("left", PICTURE) is None
