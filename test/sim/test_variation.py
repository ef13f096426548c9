"""Scenes that look otherwise: only what the name says differs, and the default is as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.sim.env import SimEnv, SimError
from vilp_ros.sim.scene import VARIATIONS, Camera

COLOURS, LIGHTS = ("green", "blue", "yellow"), ("dim", "bright", "other_side")
CAMERAS = ("camera_+2cm", "camera_-2cm", "camera_+3deg", "camera_-3deg")
SENSORS = ("jpeg_80",)


@pytest.fixture(scope="module")
def seen():
    """First observation of one seed, and where its block is, in every scene."""
    found = {}
    for name in VARIATIONS:
        with SimEnv("lift_wide", variation=name) as env:
            found[name] = env.reset(600_001), env.truth()["cube"]
    return found


def changed(seen, name, view):
    """Share of the pixels that differ from the usual scene."""
    image, usual = (seen[n][0].images[view].astype(int) for n in (name, "none"))
    return (np.abs(image - usual).max(-1) > 8).mean()


def test_the_groups_are_all_there_is():
    assert set(VARIATIONS) == {"none", *COLOURS, *LIGHTS, *CAMERAS, *SENSORS}


@pytest.mark.parametrize("name", [*COLOURS, *LIGHTS, *CAMERAS, *SENSORS])
def test_arm_and_object_stand_where_they_stand_in_the_usual_scene(seen, name):
    np.testing.assert_array_equal(seen[name][1], seen["none"][1])
    np.testing.assert_array_equal(seen[name][0].ee_pose, seen["none"][0].ee_pose)


def test_compression_changes_little_and_everywhere(seen):
    for view in ("agentview", "eye_in_hand"):
        image, usual = (seen[n][0].images[view].astype(int) for n in ("jpeg_80", "none"))
        error = np.sqrt(((image - usual) ** 2).mean())
        assert 0.5 < error < 5


@pytest.mark.parametrize(("name", "channel"), [("green", 1), ("blue", 2)])
def test_a_colour_changes_the_block_alone(seen, name, channel):
    usual, image = (seen[n][0].images["agentview"].astype(int) for n in ("none", name))
    r, g, b = np.moveaxis(usual, -1, 0)
    block = (r > 60) & (r > 2 * g) & (r > 2 * b)
    assert block.sum() > 20
    assert (image[block].argmax(-1) == channel).all()
    assert changed(seen, name, "agentview") < 3 * block.mean()


@pytest.mark.parametrize(("name", "sign"), [("dim", -1), ("bright", 1)])
def test_light_is_less_or_more(seen, name, sign):
    for view in ("agentview", "eye_in_hand"):
        mean = [seen[n][0].images[view].mean() for n in (name, "none")]
        assert sign * (mean[0] - mean[1]) > 10


def test_light_from_the_other_side_changes_faces(seen):
    assert changed(seen, "other_side", "agentview") > 0.02


@pytest.mark.parametrize("name", CAMERAS)
def test_a_moved_camera_moves_its_own_view_alone(seen, name):
    assert changed(seen, name, "agentview") > 0.05
    assert changed(seen, name, "eye_in_hand") == 0.0


def test_a_camera_to_the_right_sees_things_further_left(seen):
    def column(name):
        r, g, b = np.moveaxis(seen[name][0].images["agentview"].astype(int), -1, 0)
        return np.nonzero((r > 60) & (r > 2 * g) & (r > 2 * b))[1].mean()

    assert column("camera_+2cm") < column("none") - 2 < column("camera_-2cm") - 4
    assert column("camera_+3deg") > column("none") + 2 > column("camera_-3deg") + 4


POINTS = st.tuples(*[st.floats(-2, 2)] * 3)


@given(POINTS, st.floats(-0.1, 0.1), st.floats(-20, 20))
def test_moving_is_rigid(position, right_m, left_deg):
    target = (position[0] - 1.0, position[1] + 0.5, position[2] - 0.7)
    moved = Camera(position, target, 40.0).moved(right_m, left_deg)
    shift = np.subtract(moved.position, position)
    assert np.linalg.norm(shift) == pytest.approx(abs(right_m), abs=1e-9)
    assert shift @ np.subtract(target, position) == pytest.approx(0.0, abs=1e-9)
    before, after = np.subtract(target, position), np.subtract(moved.target, moved.position)
    assert after[2] == pytest.approx(before[2])
    turned = np.rad2deg(np.arctan2(after[1], after[0]) - np.arctan2(before[1], before[0]))
    assert (turned - left_deg + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-6)


def test_an_unknown_variation_names_the_others():
    with pytest.raises(SimError, match="unknown variation 'pink': choose from none, green, blue"):
        SimEnv("lift", variation="pink")
