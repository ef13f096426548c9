"""A scene that is unlike the training data is told after some looks, and forgotten with it."""

from __future__ import annotations

import numpy as np

from vilp_ros.canvas import on_canvas
from vilp_ros.evaluation.imagination.scene import SceneWatch

SIZES = {"front": (4, 6), "hand": (2, 5), "depth": (3, 6)}


def look(watch, front, hand):
    """Pictures whose decoded copies are this many grey levels off."""
    images = [np.full((*size, 3), 100, np.uint8) for size in SIZES.values()]
    decoded = [image + np.uint8(off) for image, off in zip(images, (front, hand, 99), strict=True)]
    watch.observe(on_canvas(images), on_canvas(decoded))


def test_it_complains_once_most_looks_are_above_the_limit_and_names_the_view():
    watch = SceneWatch(SIZES, {"front": 10.0, "hand": 5.0})
    for _ in range(8):
        look(watch, 8, 12)
        assert watch.complaint() is None  # too few to say anything
    look(watch, 8, 12)
    assert watch.values() == {"front": 0.8, "hand": 2.4}
    assert "hand 2.4 times" in watch.complaint()
    assert "front" not in watch.complaint()
    for _ in range(5):
        look(watch, 8, 4)
    assert watch.complaint() is None
    watch.clear()
    assert watch.values() == {}


def test_a_view_without_a_limit_is_not_watched_and_no_limits_watch_nothing():
    watch = SceneWatch(SIZES, {})
    for _ in range(20):
        look(watch, 90, 90)
    assert watch.complaint() is None
    assert watch.values() == {}
