"""A Panda in robosuite behind the interface of a real arm: absolute targets in, 20 Hz out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import mujoco
import numpy as np

from vilp_ros.data.depth import grey_depth
from vilp_ros.errors import VilpError
from vilp_ros.geometry import matrix_to_quat, quat_to_rotvec
from vilp_ros.sim import TASKS
from vilp_ros.sim.look import Look, LookRule
from vilp_ros.sim.renderer import ViewRenderer
from vilp_ros.sim.scene import VARIATIONS, Variation, dress
from vilp_ros.sim.sensor import Sensor
from vilp_ros.sim.task import OPEN, Task, load_task
from vilp_ros.sim.views import COLOUR, VIEWS, depth_ranges
from vilp_ros.sim.wardrobe import Wardrobe

CONTROL_PERIOD_S = 0.05
MAX_WIDTH = OPEN
ACTION_KINDS = ("ee_pose", "joint_position")
_SETTLE_PERIODS = 6


class SimError(VilpError):
    """A task, view or action that the simulator does not know."""


@dataclass(frozen=True)
class Observation:
    """What the robot knows after a control period.

    Attributes:
        images: per view (H, W, 3) uint8 rgb; of a depth view grey, see `grey_depth`.
        ee_pose: (7,) xyz metres and quaternion xyzw of the point between the fingertips, in the
            robot base frame.
        gripper_width: metres between the fingers, 0 to 0.08.
        joint_position: (7,) rad.
        joint_velocity: (7,) rad/s.
        depth_m: per depth view (H, W) float32 metres along the optical axis.
    """

    images: dict[str, np.ndarray]
    ee_pose: np.ndarray
    gripper_width: float
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    depth_m: dict[str, np.ndarray] = field(default_factory=dict)


class SimEnv:
    """One simulated arm and its task.

    Args:
        task: one of `vilp_ros.sim.TASKS`.
        views: what to render: any of `vilp_ros.sim.views.VIEWS`; none renders nothing.
        size: (height, width) of the pictures.
        action_kind: `ee_pose`: (8,) = xyz, quaternion xyzw, gripper width, all absolute, in the
            base frame; `joint_position`: (8,) = seven joint angles and the width.
        variation: how the scene looks different from the one that demonstrations are recorded in:
            one of `vilp_ros.sim.scene.VARIATIONS`, or `FAMILY@STRENGTH`, drawn anew for every
            seed (see `vilp_ros.sim.look.LookRule`).
        depth_range_m: (near, far) of depth views, instead of what the task says: greys mean to a
            policy what they meant when it was trained.

    Attributes:
        rule: how looks follow from seeds, None where nothing is drawn.
        look: what the scene wears now.

    Raises:
        VilpError: unknown task, view, action kind or variation.
    """

    def __init__(
        self,
        task: str,
        *,
        views: tuple[str, ...] = COLOUR,
        size: tuple[int, int] = (96, 160),
        action_kind: str = "ee_pose",
        variation: str = "none",
        depth_range_m: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        _choose("task", task, TASKS)
        self.rule = LookRule.parse(variation) if "@" in variation else None
        if self.rule is None:
            _choose("variation", variation, (*VARIATIONS, "FAMILY@STRENGTH"))
        _choose("action_kind", action_kind, ACTION_KINDS)
        for view in views:
            _choose("view", view, tuple(VIEWS))
        self.task, self.views, self.size, self.action_kind = task, views, size, action_kind
        self.spec = load_task(task)
        self._ranges = {**depth_ranges(self.spec, views), **(depth_range_m or {})}
        usual = VARIATIONS["none" if self.rule else variation]
        self._env = _build(self.spec, action_kind, usual)
        self._robot = self._env.robots[0]
        self._gripper = self._robot.gripper["right"]
        self._substeps = round(CONTROL_PERIOD_S / self._env.model_timestep)
        self.model: mujoco.MjModel = self._env.sim.model._model
        self.data: mujoco.MjData = self._env.sim.data._data
        self._renderer = ViewRenderer(self.model, size) if views else None
        self._wardrobe = Wardrobe(
            self.model,
            self.data,
            tuple(self.spec.objects.values()),
            self.spec.agentview.target,
        )
        self.look = Look(sensor=Sensor(jpeg=usual.jpeg) if usual.jpeg else None)
        name = self._env.sim.model
        self._grip_site = name.site_name2id("gripper0_right_grip_site")
        self._base_site = name.site_name2id("robot0_right_center")
        self._bodies = {key: name.body_name2id(b) for key, b in self.spec.objects.items()}
        self._joints = np.array(self._robot._ref_joint_pos_indexes)
        self._fingers = np.array(self._robot._ref_gripper_joint_pos_indexes["right"])

    @property
    def max_steps(self) -> int:
        """Control periods after which an episode of this task counts as failed."""
        return self.spec.max_steps

    @property
    def time(self) -> float:
        """Simulated seconds since the reset."""
        return float(self.data.time)

    def reset(self, seed: int) -> Observation:
        """Places arm and objects as `seed` says, lets them come to rest."""
        rng = np.random.default_rng(seed)
        self._env.rng = rng
        _seed_samplers(self._env.placement_initializer, rng)
        self._env.reset()
        self._gripper.current_action = np.zeros(2)
        rest = self._home_action()
        for _ in range(_SETTLE_PERIODS):
            self.apply(rest)
        self.data.time = 0.0
        if self.rule is not None:
            self.wear(self.rule.look(seed, self._wardrobe.parts))
        return self.observe()

    @property
    def parts(self) -> dict[str, dict[str, np.ndarray]]:
        """What of the scene can be painted, see `Wardrobe`."""
        return self._wardrobe.parts

    def wear(self, look: Look) -> None:
        """Changes how the scene looks from the next picture on; `Look()` is the usual scene."""
        textures = self._wardrobe.wear(look)
        if self._renderer is not None:
            self._renderer.upload(textures)
        self.look = look

    def place(self, state: np.ndarray) -> None:
        """Puts arm and objects where a recorded state says (`Episode.states`), to be looked at."""
        if state.shape != self.data.qpos.shape:
            raise SimError(
                f"a state of {self.task} has {self.model.nq} numbers, not {len(state)}: it was "
                "recorded in another scene"
            )
        self.data.qpos[:] = state
        mujoco.mj_fwdPosition(self.model, self.data)

    def usual_images(self) -> dict[str, np.ndarray]:
        """Pictures of this moment in the usual scene, whatever is worn."""
        look = self.look
        self.wear(Look())
        images = self.observe().images
        self.wear(look)
        return images

    def apply(self, action: np.ndarray) -> None:
        """Simulates one control period towards a target, without rendering.

        Args:
            action: (8,) absolute target, see `action_kind`.

        Raises:
            SimError: the action has another shape or is not finite.
        """
        action = np.asarray(action, np.float64)
        if action.shape != (8,) or not np.isfinite(action).all():
            raise SimError(f"action must be 8 finite numbers; found {action}")
        # robosuite's gripper action is a sign; the fingers follow this pair, in [-1, 1] of their
        # ranges [0, 0.04] and [-0.04, 0].
        opening = np.clip(action[7], 0.0, MAX_WIDTH) / (MAX_WIDTH / 2) - 1
        self._gripper.current_action = np.array([opening, -opening])
        if self.action_kind == "ee_pose":
            command = np.concatenate([action[:3], quat_to_rotvec(action[3:7]), [0.0]])
        else:
            command = np.concatenate([action[:7], [0.0]])
        sim = self._env.sim
        for substep in range(self._substeps):
            # robosuite's own step also refreshes every sensor 25 times a period, half its time.
            sim.step1()
            self._env._pre_action(command, substep == 0)
            sim.step2()
        sim.forward()

    def step(self, action: np.ndarray) -> Observation:
        """`apply`, then `observe`."""
        self.apply(action)
        return self.observe()

    def observe(self) -> Observation:
        """Pictures and robot state as they are now."""
        images: dict[str, np.ndarray] = {}
        depth_m: dict[str, np.ndarray] = {}
        for name in self.views:
            assert self._renderer is not None, "closed"
            camera, range_m = VIEWS[name].camera, self.depth_range_m(name)
            if range_m is None:
                image = self._renderer.render(self.data, camera)
                if self.look.sensor is not None:
                    number = 1000 * round(self.time / CONTROL_PERIOD_S) + len(images)
                    image = self.look.sensor.apply(image, number)
                images[name] = image
            else:
                depth_m[name] = self._renderer.depth(self.data, camera)
                images[name] = grey_depth(depth_m[name], range_m)
        return self._observation(images, depth_m)

    def state(self) -> Observation:
        """`observe` without pictures, which cost most of a control period."""
        return self._observation({}, {})

    def _observation(
        self, images: dict[str, np.ndarray], depth_m: dict[str, np.ndarray]
    ) -> Observation:
        return Observation(
            images=images,
            ee_pose=self._in_base(
                self.data.site_xpos[self._grip_site], self.data.site_xmat[self._grip_site]
            ),
            gripper_width=float(np.abs(self.data.qpos[self._fingers]).sum()),
            joint_position=self.data.qpos[self._joints].copy(),
            joint_velocity=self.data.qvel[self._robot._ref_joint_vel_indexes].copy(),
            depth_m=depth_m,
        )

    def success(self) -> bool:
        """Whether the task is done now, by robosuite's own criterion."""
        return bool(self._env._check_success())

    def depth_range_m(self, view: str) -> tuple[float, float] | None:
        """(near, far) of a depth view, of which its greys are made; None of a view in colour."""
        return self._ranges.get(view)

    def measured(self) -> float | None:
        """What the task's `measure` counts now, from 0 to 1; None if it counts nothing."""
        return float(self._env.measured()) if self.spec.measure else None

    def truth(self) -> dict[str, np.ndarray]:
        """Pose (7,) of every object of the task in the robot base frame, xyz and xyzw."""
        return {
            name: self._in_base(self.data.xpos[body], self.data.xmat[body])
            for name, body in self._bodies.items()
        }

    def intrinsics(self, view: str) -> np.ndarray:
        """Pinhole matrix (3, 3) of a view in pixels.

        Raises:
            SimError: unknown view.
        """
        _choose("view", view, tuple(VIEWS))
        height, width = self.size
        fovy = np.deg2rad(self.model.cam_fovy[self.model.camera(VIEWS[view].camera).id])
        focal = height / 2 / np.tan(fovy / 2)
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])

    def close(self) -> None:
        """Frees the renderer and the simulation."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self._env.close()

    def __enter__(self) -> SimEnv:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the simulation."""
        self.close()

    def _home_action(self) -> np.ndarray:
        state = self.state()
        target = state.ee_pose if self.action_kind == "ee_pose" else state.joint_position
        return np.concatenate([target, [self.spec.rest_width]])

    def _in_base(self, position: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        base = self.data.site_xmat[self._base_site].reshape(3, 3)
        xyz = base.T @ (position - self.data.site_xpos[self._base_site])
        return np.concatenate([xyz, matrix_to_quat(base.T @ matrix.reshape(3, 3))])


def _build(spec: Task, action_kind: str, variation: Variation) -> Any:
    """The robosuite environment, dressed for our renderer."""
    pose = {"type": "OSC_POSE", "input_ref_frame": "base", "kp": 150, "uncouple_pos_ori": True}
    joint = {"type": "JOINT_POSITION", "kp": 150, "input_max": 3.0, "input_min": -3.0}
    arm = {
        **(pose if action_kind == "ee_pose" else joint),
        "input_type": "absolute",
        "damping_ratio": 1,
        "impedance_mode": "fixed",
        "interpolation": None,
        "gripper": {"type": "GRIP"},
    }

    environment: Any = spec.environment

    def edit_model_xml(self: Any, xml: str) -> str:
        edited = environment.edit_model_xml(self, xml)
        return dress(edited, spec.agentview, variation, spec.looks, spec.tops)

    dressed: Any = type("Dressed", (environment,), {"edit_model_xml": edit_model_xml})
    return dressed(
        robots="Panda",
        controller_configs={"type": "BASIC", "body_parts": {"right": arm}},
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        use_object_obs=False,
        control_freq=round(1 / CONTROL_PERIOD_S),
        hard_reset=False,  # a reset then takes milliseconds
        ignore_done=True,
        seed=0,  # sizes drawn while the model is built are the same everywhere
    )


def _seed_samplers(sampler: Any, rng: np.random.Generator) -> None:
    sampler.rng = rng
    for part in getattr(sampler, "samplers", {}).values():
        part.rng = rng


def _choose(what: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise SimError(f"unknown {what} {found!r}: choose from {', '.join(allowed)}")
