"""The map: a YAML file that says which columns of a dataset are what, and in which units."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vilp_ros.contract.names import a_name
from vilp_ros.contract.readers import Key, by, choice, many, number, parse_yaml, part, whole
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.mapping.rows import split_column

ROTATIONS = {
    "quaternion_xyzw": 4,
    "quaternion_wxyz": 4,
    "rotation_vector": 3,
    "rpy": 3,
    "rot6d": 6,
    "rot6d_rows": 6,
}
"""How a rotation is written, in how many columns. `rpy`: turns about the fixed axes x, y, z (moving
axes z, y, x are the same with the columns in reverse order). `rot6d`: the first two columns of the
matrix, `rot6d_rows` its first two rows, as PyTorch3D writes it."""
JOINT_UNITS = ("rad", "deg", "ticks")
ACTION_KINDS = ("absolute", "delta", "velocity", "next")
NEXT = "next"


def _columns(key: Key, value: Any) -> tuple[str, ...]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, str) for one in found):
        key.refuse(value, "KEY, KEY[0:6], KEY[6], KEY[name], or a list of these")
    for one in found:
        split_column(one)
    return tuple(found)


def _text(key: Key, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        key.refuse(value, "text")
    return value


def _numbers(key: Key, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        key.refuse(value, "a list of numbers, one a column")
    one = number(-1e9, 1e9, "")
    return tuple(one(key.item(index), item) for index, item in enumerate(value))


def _names(key: Key, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        key.refuse(value, "a list of joint names, from base to tip")
    return tuple(value)


def _or_next(reader: Callable[[Key, Any], Any]) -> Callable[[Key, Any], Any]:
    def read(key: Key, value: Any) -> Any:
        return NEXT if value == NEXT else reader(key, value)

    return read


@dataclass(frozen=True)
class ViewMap:
    """A camera.

    Attributes:
        key: of its pictures.
        size: (height, width) that policies shall see: the middle of the picture, in these
            proportions, is scaled to it.
    """

    key: str = field(metadata=by(_text))
    size: tuple[int, int] = field(metadata=by(many(whole(16, 4096), 2)))


@dataclass(frozen=True)
class UrdfMap:
    """What turns joints into poses.

    Attributes:
        path: URDF file, relative to the map.
        base: link in whose frame poses shall be.
        tip: link that they place.
        joints: names in the order of the columns.
        tool: pose of the tool in the frame of `tip`: xyz in m, quaternion xyzw.
    """

    path: str = field(metadata=by(_text))
    base: str = field(metadata=by(_text))
    tip: str = field(metadata=by(_text))
    joints: tuple[str, ...] = field(metadata=by(_names))
    tool: tuple[float, ...] = field(
        metadata=by(many(number(-10, 10, ""), 7)), default=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    )


@dataclass(frozen=True)
class JointMap:
    """The arm's joints.

    Attributes:
        columns: measured positions.
        unit: one of `JOINT_UNITS`; 4096 ticks are a turn.
        zero: value of each column at the URDF's zero, in `unit`; 0, of ticks 2048, if left out.
        sign: 1 or -1 a column, where it turns against the URDF.
        velocity: columns of measured velocities; without them they are differences.
        urdf: what turns them into poses; without it, and without `pose`, there are none.
    """

    columns: tuple[str, ...] = field(metadata=by(_columns))
    unit: str = field(metadata=by(choice(*JOINT_UNITS)), default="rad")
    zero: tuple[float, ...] | None = field(metadata=by(_numbers), default=None)
    sign: tuple[float, ...] | None = field(metadata=by(_numbers), default=None)
    velocity: tuple[str, ...] | None = field(metadata=by(_columns), default=None)
    urdf: UrdfMap | None = field(metadata=by(part(UrdfMap)), default=None)


@dataclass(frozen=True)
class PoseMap:
    """The measured pose of the hand in the frame of the arm's base.

    Attributes:
        columns: x, y, z, then the rotation.
        rotation: one of `ROTATIONS`.
        unit: of x, y, z.
        angles: of a rotation vector or rpy.
    """

    columns: tuple[str, ...] = field(metadata=by(_columns))
    rotation: str = field(metadata=by(choice(*ROTATIONS)))
    unit: str = field(metadata=by(choice("m", "mm")), default="m")
    angles: str = field(metadata=by(choice("rad", "deg")), default="rad")


@dataclass(frozen=True)
class GripperMap:
    """An opening: the width is `width_m` where the column says `open`, 0 where it says `closed`.

    So unit, range and direction are said at once.

    Attributes:
        columns: one column.
        open: its value of the open gripper.
        closed: its value of the closed one.
        width_m: metres between the fingers of the open one.
    """

    columns: tuple[str, ...] = field(metadata=by(_columns))
    open: float = field(metadata=by(number(-1e9, 1e9, "")))
    closed: float = field(metadata=by(number(-1e9, 1e9, "")))
    width_m: float = field(metadata=by(number(0, 1, "m", above=True)))


@dataclass(frozen=True)
class ActionMap:
    """What the arm was told in each row.

    Attributes:
        kind: `absolute` targets, `delta` to the measured state of the row, `velocity` (of joints
            a second; of the hand m/s and rad/s), or `next`: what was measured one row later, for
            arms that were guided by hand.
        space: `joints`, whose targets the URDF turns into poses, or `pose`.
        columns: as `joints.columns`, or as `pose.columns`; a velocity of the hand is 3 + 3.
        rotation: of poses, as in `pose`; of deltas often `rotation_vector` or `rpy`.
        unit: of joints or positions, as in `joints` or `pose`.
        angles: as in `pose`.
        scale: a factor for all columns, or one each: what a delta of 1 is worth.
        frame: of a delta or velocity of the hand: `base`, or `tool` for its own.
        gripper: the opening that was told; or `next`, the measured one a row later.
    """

    kind: str = field(metadata=by(choice(*ACTION_KINDS)))
    space: str = field(metadata=by(choice("joints", "pose")), default="pose")
    columns: tuple[str, ...] = field(metadata=by(_columns), default=())
    rotation: str = field(metadata=by(choice(*ROTATIONS)), default="quaternion_xyzw")
    unit: str | None = field(metadata=by(choice("m", "mm", *JOINT_UNITS)), default=None)
    angles: str = field(metadata=by(choice("rad", "deg")), default="rad")
    scale: tuple[float, ...] | None = field(metadata=by(_numbers), default=None)
    frame: str = field(metadata=by(choice("base", "tool")), default="base")
    gripper: GripperMap | str = field(metadata=by(_or_next(part(GripperMap))), default=NEXT)


def _views(key: Key, value: Any) -> dict[str, ViewMap]:
    if not isinstance(value, dict) or not value:
        key.refuse(value or None, "a mapping with at least one view")
    return {a_name(key, name): part(ViewMap)(key.child(name), value[name]) for name in value}


@dataclass(frozen=True)
class ColumnMap:
    """Which columns are what. Parts that are left out do not exist in the dataset.

    Attributes:
        control_period_s: of the episodes that are made.
        views: cameras by name.
        task: instead of the dataset's own.
        joints: see `JointMap`.
        pose: see `PoseMap`; needed unless a URDF gives it.
        gripper: the measured opening.
        action: without it episodes are `action_free`.
        folder: where the map lies; paths in it start there.
    """

    control_period_s: float = field(metadata=by(number(0.001, 1, "s")))
    views: dict[str, ViewMap] = field(metadata=by(_views))
    task: str | None = field(metadata=by(_text), default=None)
    joints: JointMap | None = field(metadata=by(part(JointMap)), default=None)
    pose: PoseMap | None = field(metadata=by(part(PoseMap)), default=None)
    gripper: GripperMap | None = field(metadata=by(part(GripperMap)), default=None)
    action: ActionMap | None = field(metadata=by(part(ActionMap)), default=None)
    folder: Path = Path()

    @property
    def has_pose(self) -> bool:
        """Whether episodes get a pose of the hand."""
        return self.pose is not None or (self.joints is not None and self.joints.urdf is not None)


def load_map(path: Path) -> ColumnMap:
    """Reads a map.

    Raises:
        VilpError: no such file, not YAML, an unknown key, a wrong value, or parts that do not fit.
    """
    if not path.is_file():
        raise DatasetError(
            f"no map at {path}: `vilp data FOLDER --map` prints one of a dataset as a draft"
        )
    return parse_map(path.read_text(encoding="utf-8", errors="replace"), path)


def parse_map(text: str, path: Path) -> ColumnMap:
    """Reads the text of a map that lies at `path`; raises as `load_map`."""
    key = Key(path.name)
    found: ColumnMap = part(ColumnMap, folder=path.parent)(key, parse_yaml(text, path.name))
    _check(key, found)
    return found


def _check(key: Key, found: ColumnMap) -> None:
    action, here = found.action, key.child("action")
    for opening, at in ((found.gripper, key.child("gripper")), (action and action.gripper, here)):
        if isinstance(opening, GripperMap) and opening.open == opening.closed:
            at.child("open").refuse(opening.open, "another value than that of `closed`")
    if action is None:
        return
    if not found.has_pose:
        here.refuse(
            action.kind, "no action without `pose` or `joints.urdf`: targets would be no poses"
        )
    if action.kind == NEXT:
        if action.columns:
            here.child("columns").refuse(list(action.columns), "none, since kind is `next`")
        return
    if not action.columns:
        here.child("columns").refuse(None, "columns of what the arm was told")
    units = JOINT_UNITS if action.space == "joints" else ("m", "mm")
    if action.unit is not None and action.unit not in units:
        here.child("unit").refuse(
            action.unit, f"one of {list(units)}, since space is {action.space}"
        )
    if action.space == "joints" and not (found.joints and found.joints.urdf):
        here.child("space").refuse("joints", "`joints.urdf` beside it, to make poses of them")
    if action.gripper != NEXT and found.gripper is not None:
        assert isinstance(action.gripper, GripperMap)
        if action.gripper.columns == found.gripper.columns:
            here.child("gripper").refuse(
                list(found.gripper.columns),
                "`next`, since the measured opening is the same column: a policy would read its "
                "own action",
            )


def bare_name(key: str) -> str:
    """A view's name from the key of its pictures."""
    name = re.sub(r"\W", "_", re.sub(r"^observation[./]images?[./]", "", key))
    return name if re.match(r"[A-Za-z_]", name) else f"view_{name}"
