"""Joint angles to poses by a robot's URDF, with pinocchio (BSD-2, imported on first use)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vilp_ros.errors import VilpError
from vilp_ros.geometry import Array, matrix_to_quat, quat_to_matrix


class UrdfError(VilpError):
    """A URDF that cannot be used as asked; the message names the link or joint."""


class Chain:
    """Kinematics from one link to another; joints that are not named stay at zero.

    Safe to call from several threads.

    Args:
        path: URDF file; its meshes are not read.
        base: link in whose frame poses are.
        tip: link whose pose is asked for.
        joints: names of the joints that turn, in the order of the angles.
        tool: (7,) pose of the tool in the frame of `tip`, m and quaternion xyzw.

    Raises:
        UrdfError: pinocchio is missing, or the file or a name in it.
    """

    def __init__(
        self,
        path: str | Path,
        base: str,
        tip: str,
        joints: Sequence[str],
        tool: ArrayLike = (0, 0, 0, 0, 0, 0, 1),
    ) -> None:
        try:
            import pinocchio
        except ImportError as error:
            raise UrdfError(
                f"joints become poses with pinocchio ({error}): pip install '.[urdf]' in the "
                "checkout"
            ) from None
        if not Path(path).is_file():
            raise UrdfError(f"no URDF at {path}")
        try:
            model = pinocchio.buildModelFromUrdf(str(path))
        except ValueError as error:
            raise UrdfError(f"{path} is no URDF that pinocchio reads ({error})") from None
        self._path, self._names = path, list(joints)
        self._pinocchio, self._local = pinocchio, threading.local()
        if missing := [name for name in joints if name not in list(model.names)[1:]]:
            there = ", ".join(list(model.names)[1:])
            raise UrdfError(f"{path} has no moving joint {missing[0]!r}; it has {there}")
        others = [index for index in range(1, model.njoints) if model.names[index] not in joints]
        self._model = model
        self._base, self._tip = (self._frame(link) for link in (base, tip))
        above_base, above_tip = self._above()
        self._left_out = (above_base ^ above_tip) - set(joints)
        neutral = pinocchio.neutral(model)
        self._model = pinocchio.buildReducedModel(model, others, neutral)
        self._base, self._tip = (self._frame(link) for link in (base, tip))
        moving = [self._model.joints[self._model.getJointId(name)] for name in joints]
        if odd := [n for n, j in zip(joints, moving) if j.nv != 1]:
            raise UrdfError(f"{path}: joint {odd[0]!r} has more than one angle")
        self._at = [(joint.idx_q, joint.nq == 2) for joint in moving]  # endless: cosine and sine
        self._columns = [joint.idx_v for joint in moving]
        self._neutral = pinocchio.neutral(self._model)
        self._tool = np.eye(4)
        tool = np.asarray(tool, np.float64)
        self._tool[:3, :3], self._tool[:3, 3] = quat_to_matrix(tool[3:]), tool[:3]

    def _frame(self, link: str) -> int:
        body = self._pinocchio.FrameType.BODY
        links = [f.name for f in self._model.frames if f.type == body]
        if link not in links:
            raise UrdfError(f"{self._path} has no link {link!r}; it has {', '.join(links)}")
        index: int = self._model.getFrameId(link, body)
        return index

    def check_complete(self) -> None:
        """Raises UrdfError unless the joints are just those between base and tip."""
        base, tip = (self._model.frames[frame].name for frame in (self._base, self._tip))
        above_base, above_tip = self._above()
        aside = [name for name in self._names if name not in above_tip - above_base]
        if aside:
            raise UrdfError(
                f"{self._path}: joint {aside[0]!r} does not lie between {base!r} and {tip!r}: "
                "correct base, tip or the joints' names"
            )
        if self._left_out:
            raise UrdfError(
                f"{self._path}: joint {min(self._left_out)!r} lies between {base!r} and {tip!r} "
                "and is not named: add it to the joints, or correct base or tip"
            )

    @property
    def ranges(self) -> Array:
        """(J, 2) lower and upper end of each joint in the URDF; endless ones: infinite."""
        low, high = self._model.lowerPositionLimit, self._model.upperPositionLimit
        endless = (-np.inf, np.inf)
        return np.array([endless if turns else (low[at], high[at]) for at, turns in self._at])

    def _above(self) -> list[set[str]]:
        """Names of the joints that move the base, and of those that move the tip."""
        above = []
        for frame in (self._base, self._tip):
            found = self._model.frames[frame]
            # Of the second name it is in pinocchio 2.7.
            joint = found.parentJoint if hasattr(found, "parentJoint") else found.parent
            above.append({self._model.names[i] for i in self._model.supports[joint]})
        return above

    @property
    def _data(self) -> Any:
        """Pinocchio's scratch memory: each thread has its own."""
        if not hasattr(self._local, "data"):
            self._local.data = self._model.createData()
        return self._local.data

    def _angles(self, joints: Array) -> Array:
        """Pinocchio's vector of joints (J,)."""
        angles = self._neutral.copy()
        for (at, endless), value in zip(self._at, joints, strict=True):
            if endless:
                angles[at : at + 2] = np.cos(value), np.sin(value)
            else:
                angles[at] = value
        return angles

    def tip(self, joints: Array) -> Array:
        """(4, 4) of the tip, or of the tool on it, in the frame of the base, for joints (J,)."""
        data = self._data
        self._pinocchio.framesForwardKinematics(self._model, data, self._angles(joints))
        placed = data.oMf[self._base].actInv(data.oMf[self._tip])
        found: Array = placed.homogeneous @ self._tool
        return found

    def towards(self, joints: Array, target: Array) -> tuple[Array, Array]:
        """How the tip gets to a target: one Newton step solves `jacobian @ change = error`.

        Args:
            joints: (J,).
            target: (4, 4) of the tip, without a tool, in the frame of the base.

        Returns:
            error: (6,) m and rad, the logarithm of the way, in the frame of the tip.
            jacobian: (6, J) of it.
        """
        pinocchio, model, data, tip = self._pinocchio, self._model, self._data, self._tip
        angles = self._angles(joints)
        pinocchio.framesForwardKinematics(model, data, angles)
        jacobian = pinocchio.computeFrameJacobian(model, data, angles, tip, pinocchio.LOCAL)
        way = data.oMf[tip].actInv(data.oMf[self._base] * pinocchio.SE3(target))
        error: Array = pinocchio.log6(way).vector
        return error, pinocchio.Jlog6(way.inverse()) @ jacobian[:, self._columns]

    def forward(self, joints: ArrayLike) -> Array:
        """Poses (N, 7), m and quaternion xyzw with w >= 0, for angles (N, J) in rad or m."""
        tips = [self.tip(row) for row in np.asarray(joints, np.float64)]
        poses = [np.concatenate([tip[:3, 3], matrix_to_quat(tip[:3, :3])]) for tip in tips]
        return np.array(poses).reshape(-1, 7)
