"""One demonstration in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vilp_ros.data.digest import digest
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.plausible import fault


@dataclass
class Episode:
    """One demonstration of T control periods: T + 1 observations and T actions.

    Attributes:
        images: per view `(T+1, H, W, 3)` uint8.
        ee_pose: `(T+1, 7)` xyz in metres and quaternion xyzw, robot base frame.
        gripper_width: `(T+1,)` metres.
        joint_position: `(T+1, J)` rad; J is 0 where none were recorded.
        joint_velocity: `(T+1, J)` rad/s.
        actions: `(T, 8)` absolute targets as executed, or None for action-free episodes.
        disturbed: `(T,)` bool, True where exploration noise moved the arm: the inverse dynamics
            learns from these steps, the planner must not imitate them.
        role: one of `ROLES`; `correction`: a human took over from a policy, whose own steps count
            as disturbed.
        success: whether the task was done.
        seed: seed that placed the objects.
        info: whatever else identifies the episode (e.g. the grasp mode).
        repeated: `(T+1,)` bool, True where a picture is the one of the frame before, from a camera
            slower than control: no robot is shown such a frame, so no plan begins there. None
            where every picture is another.
        before: `(T+1, 8)` pose and gripper width one control period before each frame, as the
            planner knew them; None where that is the frame before (at the first, the frame itself).
        states: `(T+1, N)` joint positions (MuJoCo's qpos) of arm and objects in the simulator, of
            which pictures can be drawn again; None of a real arm.
    """

    images: dict[str, np.ndarray]
    ee_pose: np.ndarray
    gripper_width: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    actions: np.ndarray | None
    disturbed: np.ndarray
    role: str
    success: bool
    seed: int
    info: dict[str, float | int | str] = field(default_factory=dict)
    before: np.ndarray | None = None
    states: np.ndarray | None = None
    repeated: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of control periods T."""
        return len(self.ee_pose) - 1

    def digest(self) -> str:
        """Of its numbers and pictures; not of its labels."""
        named = {**vars(self), **{f"{view}_image": rows for view, rows in self.images.items()}}
        arrays = {key: rows for key, rows in named.items() if isinstance(rows, np.ndarray)}
        return digest(part for key in sorted(arrays) for part in (key, arrays[key]))

    def check(self, action_kind: str = "", where: str = "") -> None:
        """Raises DatasetError naming the first field whose length or content is wrong.

        Args:
            action_kind: of the actions; they are judged where it is known.
            where: names the episode, instead of its seed.
        """
        if found := fault(self, action_kind):
            raise DatasetError(f"{where or f'episode of seed {self.seed}'}: {found}")
