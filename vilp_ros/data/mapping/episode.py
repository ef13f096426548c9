"""Makes an episode of somebody's rows, as a map says.

A row's target is due one row later; the action of a control period is what is due at its end. So
rows of any rate give targets of the control rate, and rows of that very rate give their own.
"""

from __future__ import annotations

import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.data.mapping import units
from vilp_ros.data.mapping.column_map import NEXT, ActionMap, ColumnMap, GripperMap
from vilp_ros.data.mapping.grid import Grid
from vilp_ros.data.mapping.rows import Rows
from vilp_ros.data.rest import without_rest
from vilp_ros.errors import VilpError
from vilp_ros.geometry import continuous_quats, quat_multiply, quat_to_matrix
from vilp_ros.urdf import Chain

NO_POSE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
"""Stands where nothing tells a pose; `info.proprio` then says `none`."""


class Mapper:
    """A map with its URDF loaded.

    Args:
        column_map: what the columns are.
        rest: keep the arm's standing still before it first moves.

    Raises:
        VilpError: its URDF cannot be used.
    """

    def __init__(self, column_map: ColumnMap, rest: bool = False) -> None:
        self.map, self._rest = column_map, rest
        joints = column_map.joints
        self._chain: Chain | None = None
        if joints is not None and joints.urdf is not None:
            urdf = joints.urdf
            file = column_map.folder / urdf.path
            self._chain = Chain(file, urdf.base, urdf.tip, urdf.joints, urdf.tool)

    def lacks(self) -> list[str]:
        """What its episodes will not have, in sentences."""
        found, given = [], self.map
        if not given.has_pose:
            found.append(
                "no pose and no URDF that makes one of joints: episodes come in as action_free, "
                "for the planner of a policy of method vilp only"
            )
        elif given.action is None:
            found.append("no action: episodes come in as action_free")
        if given.has_pose and given.gripper is None:
            found.append("no measured opening of the gripper: its width is 0 throughout")
        elif given.action and given.action.gripper == NEXT:
            found.append("the gripper's action is its measured opening one row later")
        if given.action and given.action.kind == NEXT:
            found.append("the arm's action is what was measured one row later")
        return found

    def clipped(self, rows: Rows) -> list[str]:
        """Openings that lie beside the range which the map says, in sentences.

        Raises:
            VilpError: most of a column, or no such column.
        """
        grippers = [self.map.gripper, self.map.action.gripper if self.map.action else None]
        found = [
            units.clipped(rows.pick(one.columns), one, rows.where)
            for one in grippers
            if isinstance(one, GripperMap)
        ]
        return [text for text in found if text]

    def episode(self, rows: Rows) -> Episode:
        """An episode of these rows, with its pictures.

        Raises:
            VilpError: columns that are missing or not what the map says.
        """
        given, where = self.map, rows.where
        grid = Grid(rows.stamps, given.control_period_s, where)
        joints, velocity = self._joints(rows)
        pose = self._poses(rows, joints)
        width = np.zeros((len(rows.stamps), 1))
        if given.gripper is not None:
            width[:, 0] = units.widths(rows.pick(given.gripper.columns), given.gripper, where)
        if velocity is None:
            velocity = np.gradient(joints, rows.stamps, axis=0) if joints.size else joints
        ahead_s = given.control_period_s - grid.source_s
        if abs(ahead_s) < 0.01 * given.control_period_s:
            ahead_s = 0.0
        actions = None
        if given.action is not None and rows.labels.get("role") != "action_free":
            target = self._targets(rows, given.action, joints, pose, grid.source_s)
            hand = _told_width(rows, given.action, width)
            # What a hand is told comes in steps, between which nothing was told.
            told = [grid.poses(target, ahead_s, pose[0]), grid.held(hand, ahead_s)]
            actions = np.concatenate(told, axis=1)[:-1]
        pushed = grid.lost[:-1] | grid.lost[1:]
        if rows.disturbed is not None:
            pushed = pushed | rows.disturbed[grid.nearest][:-1]
        info = dict(rows.labels.get("info", {}))
        if not given.has_pose:
            info["proprio"] = "none"
        default = "action_free" if actions is None else "expert"
        episode = Episode(
            images={
                name: rows.frames(view.key, grid.nearest, view.size)
                for name, view in given.views.items()
            },
            ee_pose=grid.poses(pose),
            gripper_width=grid.linear(width)[:, 0],
            joint_position=grid.linear(joints),
            joint_velocity=grid.linear(velocity),
            actions=actions,
            disturbed=pushed,
            role=rows.labels.get("role", default) if actions is not None else "action_free",
            success=bool(rows.labels.get("success", True)),
            seed=int(rows.labels.get("seed", -1)),
            info=info,
            repeated=grid.repeated if grid.repeated.any() else None,
        )
        if self._rest or not given.has_pose:
            return episode
        return without_rest(episode, given.control_period_s)

    def _joints(self, rows: Rows) -> tuple[np.ndarray, np.ndarray | None]:
        """Positions `(N, J)` rad and measured velocities, J = 0 where there are none."""
        joints = self.map.joints
        if joints is None:
            return np.zeros((len(rows.stamps), 0)), None
        position = units.radians(rows.pick(joints.columns), joints, rows.where)
        if joints.velocity is None:
            return position, None
        measured = rows.pick(joints.velocity)
        return position, units.joint_change(measured, joints.unit, joints, rows.where)

    def _poses(self, rows: Rows, joints: np.ndarray) -> np.ndarray:
        """`(N, 7)` of the hand."""
        pose = self.map.pose
        if pose is not None:
            found = rows.pick(pose.columns)
            turn = units.quats(found[:, 3:], pose.rotation, pose.angles, f"{rows.where}, pose")
            return np.concatenate([units.METRES_PER[pose.unit] * found[:, :3], turn], axis=1)
        if self._chain is not None:
            return self._forward(joints)
        return np.tile(NO_POSE, (len(rows.stamps), 1))

    def _forward(self, joints: np.ndarray) -> np.ndarray:
        assert self._chain is not None
        found = self._chain.forward(joints)
        return np.concatenate([found[:, :3], continuous_quats(found[:, 3:])], axis=1)

    def _targets(
        self,
        rows: Rows,
        action: ActionMap,
        joints: np.ndarray,
        pose: np.ndarray,
        source_s: float,
    ) -> np.ndarray:
        """Where the hand was told to be, `(N, 7)`."""
        if action.kind == NEXT:
            return np.concatenate([pose[1:], pose[-1:]])
        told = rows.pick(action.columns)
        if action.scale is not None:
            if len(action.scale) not in (1, told.shape[1]):
                raise VilpError(
                    f"{rows.where}: action.scale has {len(action.scale)} entries for "
                    f"{told.shape[1]} columns"
                )
            told = told * np.asarray(action.scale)
        if action.space == "joints":
            found = self._joint_targets(rows, action, told, joints, source_s)
        else:
            found = self._pose_targets(rows, action, told, pose, source_s)
        return _same_half(found, pose)

    def _joint_targets(
        self,
        rows: Rows,
        action: ActionMap,
        told: np.ndarray,
        joints: np.ndarray,
        source_s: float,
    ) -> np.ndarray:
        assert self.map.joints is not None
        if told.shape[1] != joints.shape[1]:
            raise VilpError(
                f"{rows.where}: action has {told.shape[1]} columns for {joints.shape[1]} joints"
            )
        unit = action.unit or self.map.joints.unit
        if action.kind == "absolute":
            return self._forward(units.radians(told, self.map.joints, rows.where))
        change = units.joint_change(told, unit, self.map.joints, rows.where)
        return self._forward(joints + (source_s if action.kind == "velocity" else 1.0) * change)

    def _pose_targets(
        self,
        rows: Rows,
        action: ActionMap,
        told: np.ndarray,
        pose: np.ndarray,
        source_s: float,
    ) -> np.ndarray:
        where, kind = f"{rows.where}, action", action.kind
        rotation = "rotation_vector" if kind == "velocity" else action.rotation
        shift = units.METRES_PER[action.unit or "m"] * told[:, :3]
        turn = told[:, 3:]
        if kind == "velocity":
            shift, turn = shift * source_s, turn * source_s
        turn = units.quats(turn, rotation, action.angles, where)
        if kind == "absolute":
            return np.concatenate([shift, turn], axis=1)
        here = pose[:, 3:]
        if action.frame == "tool":
            shift = np.einsum("nij,nj->ni", quat_to_matrix(here), shift)
            turned = quat_multiply(here, turn)
        else:
            turned = quat_multiply(turn, here)
        return np.concatenate([pose[:, :3] + shift, turned], axis=1)


def _told_width(rows: Rows, action: ActionMap, width: np.ndarray) -> np.ndarray:
    """Where the fingers were told to be, `(N, 1)` m."""
    if isinstance(action.gripper, GripperMap):
        return units.widths(rows.pick(action.gripper.columns), action.gripper, rows.where)[:, None]
    return np.concatenate([width[1:], width[-1:]])


def _same_half(target: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Targets whose quaternions have the sign of those that were measured."""
    sign = np.where(np.sum(target[:, 3:] * pose[:, 3:], axis=1) < 0, -1.0, 1.0)
    return np.concatenate([target[:, :3], sign[:, None] * target[:, 3:]], axis=1)
