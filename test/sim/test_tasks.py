"""What every task must be, whichever file it is."""

from __future__ import annotations

import numpy as np
import pytest

from vilp_ros.contract import Contract
from vilp_ros.errors import VilpError
from vilp_ros.ros.files import find_contract
from vilp_ros.sim import TASKS
from vilp_ros.sim.demonstrator import Demonstrator, Job
from vilp_ros.sim.look import LookRule
from vilp_ros.sim.scene import OBJECT, OBJECT_TOP, Camera, Variation, dress
from vilp_ros.sim.wardrobe import Wardrobe

CAMERA = Camera((1, 0, 1), (0, 0, 0), 45)


def test_the_files_are_the_tasks():
    known = {"lift", "lift_wide", "can", "square"}
    assert known | {"push_t", "move_stack", "hanoi", "arrange_blocks"} <= set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_begins_undone_at_rest_and_its_expert_stays_within_the_contract(sim, task):
    env, limits = sim(task), Contract.load(find_contract("sim_panda")).limits
    low, high = np.array([limits.workspace[axis] for axis in "xyz"]).T
    for role in ("expert", "suboptimal"):
        demonstrator = Demonstrator(env, Job(11, env.spec.modes[-1], role, 0.25))
        observation = demonstrator.observation
        assert not env.success()
        assert np.abs(observation.joint_velocity).max() < 0.5
        assert abs(observation.gripper_width - env.spec.rest_width) < 0.01
        for _ in range(40):  # no demonstration is shorter
            action, _ = demonstrator.act(observation)
            assert (action[:3] > low - 0.03).all()
            assert (action[:3] < high + 0.03).all()
            assert 0 <= action[7] <= 0.081
            env.apply(action)
            observation = env.state()


@pytest.mark.parametrize("task", TASKS)
def test_looks_reach_the_objects_of_a_task(sim, task):
    env = sim(task)
    env.reset(0)
    objects = {part for part in env.parts if part.startswith("object:")}
    assert objects
    painted = LookRule("object", 1.0).look(3, env.parts).paints
    assert {name for part in objects for name in env.parts[part]} <= set(painted)
    colours = {tuple(float(v) for v in c.split()) for c in (OBJECT, OBJECT_TOP)}
    shown = {tuple(np.round(rgba, 2)) for rgba in env.model.geom_rgba.astype(float)}
    assert colours & shown  # what the ten named scenes repaint


@pytest.mark.parametrize("task", TASKS)
def test_a_measure_is_a_share_and_only_of_tasks_that_have_one(sim, task):
    env = sim(task)
    env.reset(0)
    measured = env.measured()
    assert (measured is None) == (env.spec.measure == "")
    assert measured is None or 0 <= measured < 1


def test_a_name_that_the_scene_does_not_have_is_told():
    body = "<body name='cube_main'><geom name='cube_g0'/></body>"
    xml = f"<mujoco><worldbody>{body}</worldbody></mujoco>"
    with pytest.raises(VilpError, match=r"looks of cube_g00.* bodies are cube_main"):
        dress(xml, CAMERA, Variation(), {"cube_g00": OBJECT}, {})


def test_an_object_that_the_scene_does_not_have_is_told(sim):
    env = sim("lift")
    with pytest.raises(VilpError, match=r"names objects cube; bodies of its scene are .*cube_main"):
        Wardrobe(env.model, env.data, ("cube",), (0, 0, 0))
