from __future__ import annotations

import numpy as np
import pytest

from vilp_ros.geometry import quat_angle, quat_multiply, yaw_quat
from vilp_ros.sim.env import SimEnv, SimError
from vilp_ros.sim.motion import downward, object_yaw

VIEWS = ("agentview", "eye_in_hand")


def test_a_seed_is_an_episode(sim):
    env = sim("lift_wide", VIEWS)
    first, other, again = env.reset(3), env.reset(4), env.reset(3)
    block = env.truth()["cube"]
    np.testing.assert_array_equal(first.ee_pose, again.ee_pose)
    for view in VIEWS:
        np.testing.assert_array_equal(first.images[view], again.images[view])
        assert (first.images[view] != other.images[view]).any()
    env.reset(4)
    assert np.linalg.norm(env.truth()["cube"][:3] - block[:3]) > 0.01


def test_an_episode_starts_at_rest_with_open_fingers_and_the_task_undone(sim):
    for task in ("lift", "lift_wide", "can", "square"):
        env = sim(task)
        observation = env.reset(11)
        assert observation.gripper_width > 0.07
        assert np.abs(observation.joint_velocity).max() < 0.05
        assert not env.success()
        assert env.time == 0


def test_the_wide_block_spawns_all_over_its_square(sim):
    env = sim("lift_wide")
    poses = []
    for seed in range(24):
        env.reset(seed)
        poses.append(env.truth()["cube"])
    xy = np.array(poses)[:, :2] - [0.56, 0.0]  # the table's middle, base frame
    assert np.abs(xy).max() < 0.105
    assert (xy.max(0) > 0.06).all()
    assert (xy.min(0) < -0.06).all()
    yaws = np.array([object_yaw(pose) for pose in poses])
    assert len(np.unique(np.floor(yaws / (np.pi / 2)))) == 4
    np.testing.assert_allclose(2 * env.model.geom("cube_g0").size, [0.06, 0.06, 0.04])


def test_pose_targets_are_reached_and_held(sim):
    env = sim("lift")
    start = env.reset(0).ee_pose
    target = np.concatenate(
        [start[:3] + np.array([0.08, -0.06, 0.05]), quat_multiply(yaw_quat(0.6), start[3:]), [0.03]]
    )
    for _ in range(40):
        observation = env.step(target)
    assert np.linalg.norm(observation.ee_pose[:3] - target[:3]) < 0.003
    assert quat_angle(observation.ee_pose[3:], target[3:7]) < 0.02
    assert abs(observation.gripper_width - 0.03) < 0.003
    assert env.time == pytest.approx(40 * 0.05)


@pytest.mark.parametrize("width", [0.0, 0.02, 0.06, 0.08])
def test_the_fingers_track_a_width(sim, width):
    env = sim("lift")
    rest = env.reset(1).ee_pose
    for _ in range(30):
        env.apply(np.concatenate([rest, [width]]))
    assert abs(env.observe().gripper_width - width) < 0.003


def test_joint_targets_are_reached(sim):
    env = sim("lift", action_kind="joint_position")
    start = env.reset(0)
    joints = start.joint_position + np.array([0.2, -0.15, 0.1, 0.2, -0.1, 0.15, 0.4])
    for _ in range(40):
        observation = env.step(np.concatenate([joints, [0.05]]))
    np.testing.assert_allclose(observation.joint_position, joints, atol=0.01)
    assert abs(observation.gripper_width - 0.05) < 0.003


def test_truth_is_in_the_frame_of_the_arm(sim):
    # Standing over the block by its true position is what a grasp does: the frames must agree.
    env = sim("lift_wide")
    env.reset(5)
    block = env.truth()["cube"]
    for _ in range(60):
        env.apply(downward(block[:3] + np.array([0, 0, 0.1]), 0.0, 0.08))
    fingers = [env.data.body(f"gripper0_right_{side}finger").xpos for side in ("left", "right")]
    between = np.mean(fingers, axis=0)[:2]
    np.testing.assert_allclose(between, env.data.body("cube_main").xpos[:2], atol=0.004)


def test_without_views_nothing_is_rendered(sim):
    assert sim("lift").reset(0).images == {}


def test_intrinsics_project_the_block_to_its_pixels(sim):
    env = sim("lift_wide", VIEWS)
    red = _red(env.reset(6).images["agentview"])
    camera, block = env.data.camera("agentview"), env.data.body("cube_main").xpos
    x, y, z = camera.xmat.reshape(3, 3).T @ (block - camera.xpos)  # z points out of the picture
    u, v, w = env.intrinsics("agentview") @ [x, -y, -z]
    rows, columns = np.nonzero(red)
    assert abs(columns.mean() - u / w) < 2
    assert abs(rows.mean() - v / w) < 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"task": "lfit"}, "lift_wide"),
        ({"task": "lift", "views": ("wrist",)}, "eye_in_hand"),
        ({"task": "lift", "action_kind": "joint"}, "joint_position"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(arguments, named):
    with pytest.raises(SimError, match=named):
        SimEnv(**arguments)


@pytest.mark.parametrize("action", [np.zeros(7), np.full(8, np.nan)])
def test_a_broken_action_is_refused(sim, action):
    with pytest.raises(SimError, match="8 finite numbers"):
        sim("lift").apply(action)


def _red(image):
    r, g, b = np.moveaxis(image.astype(int), -1, 0)
    return (r > 120) & (r > 1.7 * g) & (r > 1.7 * b)
