"""Drafts a map for a dataset: what names and numbers suggest, to be checked by who recorded it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from vilp_ros.data.mapping.column_map import ROTATIONS, bare_name
from vilp_ros.data.mapping.rows import Rows
from vilp_ros.data.scaling import fitting_size

_TURNS = {
    ("qx", "qy", "qz", "qw"): "quaternion_xyzw",
    ("qw", "qx", "qy", "qz"): "quaternion_wxyz",
    ("roll", "pitch", "yaw"): "rpy",
    ("rx", "ry", "rz"): "rotation_vector",
    ("wx", "wy", "wz"): "rotation_vector",
}
_BY_COUNT = {6: "rpy", 7: "quaternion_xyzw", 9: "rot6d"}
_FULL_TURN = 2 * np.pi * 1.05
_HEAD = """\
# Draft of a map: {about}.
# Lines marked `guess` follow from names and numbers; check them with who recorded it. Then:
#   vilp convert {folder} --from {source} --map THIS.yaml --out mine.hdf5
"""


class Column(NamedTuple):
    """One column of numbers."""

    key: str
    place: int
    name: str

    @property
    def last(self) -> str:
        """The last word of its name, lower case."""
        return re.split(r"[./_ ]", self.name.lower())[-1]


@dataclass
class Parts:
    """Columns by what they seem to be."""

    joints: list[Column] = field(default_factory=list)
    velocity: list[Column] = field(default_factory=list)
    pose: list[Column] = field(default_factory=list)
    rotation: str = ""
    gripper: list[Column] = field(default_factory=list)


def draft_map(
    about: str,
    folder: object,
    source: str,
    rate_hz: float,
    views: Sequence[tuple[str, tuple[int, int]]],
    rows: Rows | None = None,
) -> str:
    """YAML of a map.

    Args:
        about: the dataset in a phrase.
        folder: where it lies.
        source: its format, as `--from` says it.
        rate_hz: of its rows.
        views: key of the pictures, and their (height, width).
        rows: one of its episodes; None where there is nothing but pictures.
    """
    lines = [_HEAD.format(about=about, folder=folder, source=source)]
    lines += [f"control_period_s: {1 / rate_hz:.6g}", "views:"]
    for key, (height, width) in views:
        size = list(fitting_size(height, width))
        lines += [f"  {bare_name(key)}:", f"    key: {key}"]
        lines += [f"    size: {size} # of {height}x{width}; multiples of 16, of vilp of 8"]
    if rows is None:
        return "\n".join(lines) + "\n"
    for key, numbers in rows.numbers.items():
        names = rows.names.get(key) or [f"{numbers.shape[1]} columns without names"]
        lines.append(f"# {key}: {', '.join(names)}")
    told = [key for key in rows.numbers if key.startswith("action")]
    state = sort_columns([key for key in rows.numbers if not key.startswith("action")], rows)
    lines += _state(state, rows)
    if told:
        action = _action(sort_columns(told, rows), state, rows)
        if not state.pose:
            note = "# With a pose (a URDF above), without which there are no targets:"
            action = [note, *(f"# {line}" for line in action)]
        lines += action
    return "\n".join(lines) + "\n"


def sort_columns(keys: Sequence[str], rows: Rows) -> Parts:
    """What the columns of these keys seem to be."""
    found = Parts()
    for key in keys:
        width = rows.numbers[key].shape[1]
        names = rows.names.get(key) or []
        named = len(names) == width and width > 1
        columns = [Column(key, i, names[i] if named else key) for i in range(width)]
        if named:
            _by_name(columns, found)
        else:
            _by_key(key, columns, found)
    return found


def _by_key(key: str, columns: list[Column], found: Parts) -> None:
    """By the name of their key and their number: there are no names of columns."""
    word = key.lower()
    if re.search(r"grip|finger", word) and len(columns) == 1:
        found.gripper += columns
    elif re.search(r"pose|cartesian|ee|tcp", word.split("observation.")[-1]) and (
        rotation := _BY_COUNT.get(len(columns))
    ):
        found.pose, found.rotation = columns, rotation
    elif re.search(r"vel", word) and not word.startswith("action"):
        found.velocity += columns
    elif re.search(r"joint|qpos", word) or re.search(r"state$|^action$", word):
        arm, hand = (columns[:-1], columns[-1:]) if len(columns) in (7, 8) else (columns, [])
        found.joints += arm
        found.gripper += hand


def _by_name(columns: list[Column], found: Parts) -> None:
    left = list(columns)
    words = [column.last.removeprefix("d") for column in columns]
    for start in range(len(words) - 2):
        if words[start : start + 3] == ["x", "y", "z"] and not found.pose:
            found.pose, found.rotation = columns[start : start + 3], ""
            for turn, rotation in _TURNS.items():
                if tuple(words[start + 3 : start + 3 + len(turn)]) == turn:
                    found.pose = columns[start : start + 3 + len(turn)]
                    found.rotation = rotation
            left = [column for column in left if column not in found.pose]
    for column in left:
        name = column.name.lower()
        if re.search(r"grip|finger|\bhand\b", name):
            found.gripper.append(column)
        elif re.search(r"vel", name) and not column.key.startswith("action"):
            found.velocity.append(column)
        elif not re.search(r"effort|torque|current|force", name):
            found.joints.append(column)


def _state(state: Parts, rows: Rows) -> list[str]:
    lines = []
    if state.pose:
        rotation = state.rotation or "rotation_vector"
        numbers = _numbers(state.pose, rows)
        unit = "mm" if np.abs(numbers[:, :3]).max() > 10 else "m"
        lines += ["pose:", f"  columns: {spell(state.pose)} # guess"]
        lines += [f"  rotation: {rotation} # guess; one of {', '.join(ROTATIONS)}"]
        lines += [f"  unit: {unit} # guess"]
        if rotation in ("rpy", "rotation_vector"):
            turned = np.abs(numbers[:, 3:]).max(initial=0)
            lines += [f"  angles: {'deg' if turned > _FULL_TURN else 'rad'} # guess"]
    if state.joints:
        numbers = _numbers(state.joints, rows)
        low, high = numbers.min(), numbers.max()
        unit = "rad" if max(-low, high) <= _FULL_TURN else "deg"
        if low >= 0 and high > 720:
            unit = "ticks"
        lines += ["joints:", f"  columns: {spell(state.joints)} # guess"]
        lines += [f"  unit: {unit} # guess: they go from {low:.3g} to {high:.3g}"]
        if len(state.velocity) == len(state.joints):
            lines += [f"  velocity: {spell(state.velocity)} # guess"]
        if not state.pose:
            lines += [
                "  # Without a pose, a URDF makes one of the joints; without that there is none:",
                "  # urdf:",
                "  #   path: my_arm.urdf # beside this map",
                "  #   base: base_link",
                "  #   tip: tool0",
                f"  #   joints: [{', '.join(f'joint{k + 1}' for k in range(len(state.joints)))}]",
            ]
    if state.gripper:
        lines += _gripper(state.gripper[:1], rows, "")
    else:
        lines += ["# gripper: (no column that looks like a measured opening)"]
    return lines


def _gripper(columns: list[Column], rows: Rows, indent: str) -> list[str]:
    numbers = _numbers(columns, rows)
    return [
        f"{indent}gripper:",
        f"{indent}  columns: {spell(columns)} # guess",
        f"{indent}  open: {numbers.max():.4g} # guess: its greatest; which of the two is open?",
        f"{indent}  closed: {numbers.min():.4g}",
        f"{indent}  width_m: 0.08 # guess: metres between the open fingers",
    ]


def _action(told: Parts, state: Parts, rows: Rows) -> list[str]:
    space = "pose" if told.pose and state.pose else "joints"
    mine, theirs = (told.pose, state.pose) if space == "pose" else (told.joints, state.joints)
    if not mine or len(mine) != len(theirs):
        return ["# action: (no columns that fit joints or pose)"]
    count = 3 if space == "pose" else len(mine)
    kind, said = foretell(_numbers(theirs[:count], rows), _numbers(mine[:count], rows), rows.stamps)
    lines = ["action:", f"  kind: {kind} # guess: {said}", f"  space: {space}"]
    lines += [f"  columns: {spell(mine)} # guess"]
    if space == "pose":
        default = "rotation_vector" if kind != "absolute" else state.rotation
        lines += [f"  rotation: {told.rotation or default} # guess"]
    same = [(c.key, c.place) for c in told.gripper] == [(c.key, c.place) for c in state.gripper]
    if told.gripper and not same:
        lines += _gripper(told.gripper[:1], rows, "  ")
    return lines


def foretell(state: np.ndarray, told: np.ndarray, stamps: np.ndarray) -> tuple[str, str]:
    """Of `absolute`, `delta`, `velocity` the one by which numbers foretell the next row best.

    Args:
        state: `(N, K)` measured.
        told: `(N, K)`.
        stamps: `(N,)` s.

    Returns:
        The kind, and the mean errors of all, beside that of standing still, in words.
    """
    step = np.median(np.diff(stamps)) if len(stamps) > 1 else 1.0
    now, after, told = state[:-1], state[1:], told[:-1]
    errors = {
        "absolute": told - after,
        "delta": now + told - after,
        "velocity": now + told * step - after,
    }
    means = {kind: float(np.abs(error).mean()) for kind, error in errors.items()}
    still = float(np.abs(now - after).mean())
    said = ", ".join(f"{kind} {mean:.2g}" for kind, mean in means.items())
    kind = min(means, key=lambda k: means[k])
    return kind, f"the next row is missed by: {said}, standing still {still:.2g}"


def _numbers(columns: Sequence[Column], rows: Rows) -> np.ndarray:
    return np.stack([rows.numbers[c.key][:, c.place] for c in columns], axis=1)


def spell(columns: Sequence[Column]) -> str:
    """Columns as a map names them: a key, a span of it, or a list of these."""
    spans: list[tuple[str, int, int]] = []
    for column in columns:
        if spans and spans[-1][0] == column.key and spans[-1][2] == column.place:
            spans[-1] = (column.key, spans[-1][1], column.place + 1)
        else:
            spans.append((column.key, column.place, column.place + 1))
    words = [
        f"{key}[{start}]" if end == start + 1 else f"{key}[{start}:{end}]"
        for key, start, end in spans
    ]
    return words[0] if len(words) == 1 else "[" + ", ".join(f'"{word}"' for word in words) + "]"
