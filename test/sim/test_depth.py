"""Depth is measured from the camera, in metres, and costs the other views nothing."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from vilp_ros.contract import Contract
from vilp_ros.data.depth import grey_depth
from vilp_ros.errors import VilpError
from vilp_ros.share import share_dir
from vilp_ros.sim.collect import collect
from vilp_ros.sim.task import load_task
from vilp_ros.sim.views import COLOUR, VIEWS, depth_ranges

DEPTH = tuple(view for view in VIEWS if view not in COLOUR)


def pixel(env, view, point, normal):
    """Row and column of a point of the world, and the depth of its plane in that pixel's middle."""
    camera, intrinsics = env.data.camera(VIEWS[view].camera), env.intrinsics(view)
    axes = camera.xmat.reshape(3, 3) * [1, -1, -1]  # right, down, ahead
    u, v, w = intrinsics @ (axes.T @ (point - camera.xpos))
    row, column = int(v / w), int(u / w)
    ray = axes @ np.linalg.solve(intrinsics, [column + 0.5, row + 0.5, 1.0])
    return row, column, (point - camera.xpos) @ normal / (ray @ normal)


@pytest.mark.parametrize("view", DEPTH)
def test_the_top_of_the_block_is_as_far_as_it_is(sim, view):
    env = sim("lift_wide", tuple(VIEWS))
    for seed in (6, 7, 8):
        env.reset(seed)
        block = env.data.body("cube_main")
        up = block.xmat.reshape(3, 3)[:, 2]
        middle = block.xpos + up * env.model.geom("cube_g0").size[2]
        row, column, metres = pixel(env, view, middle, up)
        seen = env.observe().depth_m[view]
        assert seen.shape == (96, 160)
        assert seen.dtype == np.float32
        assert seen[row, column] == pytest.approx(metres, abs=0.004)
        # Not by accident: a lower block is as much farther away.
        env.data.joint("cube_joint0").qpos[2] -= 0.05
        mujoco.mj_forward(env.model, env.data)
        assert env.observe().depth_m[view][row, column] > seen[row, column] + 0.015


def test_the_picture_of_a_depth_view_is_what_the_border_makes_of_its_metres(sim):
    env = sim("lift_wide", tuple(VIEWS))
    seen = env.reset(6)
    contract = Contract.load(share_dir() / "config/robots/sim_panda_rgbd.yaml")
    assert list(contract.views) == list(VIEWS)
    for view in DEPTH:
        range_m = contract.views[view].depth_range_m
        assert range_m == depth_ranges(load_task("lift"), DEPTH)[view]
        picture = seen.images[view]
        np.testing.assert_array_equal(picture, grey_depth(seen.depth_m[view], range_m))
        within = (picture > 0) & (picture < 255)
        assert within.mean() > 0.5  # the range is that of the scene
        assert np.ptp(picture[within]) > 50


def test_colours_are_the_same_bits_with_and_without_depth(sim):
    alone, beside = sim("lift_wide", COLOUR), sim("lift_wide", tuple(VIEWS))
    target = np.concatenate([alone.reset(9).ee_pose, [0.08]]) - [0, 0, 0.05, 0, 0, 0, 0, 0]
    beside.reset(9)
    for _ in range(5):
        a, b = alone.step(target), beside.step(target)
        assert list(a.images) == list(COLOUR)
        assert not a.depth_m
        for view in COLOUR:
            np.testing.assert_array_equal(a.images[view], b.images[view])


def test_a_file_is_not_continued_with_other_views(tmp_path):
    from synthetic import write_file

    path = write_file(tmp_path / "lift.hdf5", count=1)
    with pytest.raises(VilpError, match="has views agentview, eye_in_hand, not agentview_depth"):
        collect("lift", path, 2, 0, views=("agentview_depth",))
