"""Blocks in stacks on marked places of a table: what `move_stack` and `hanoi` have in common."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from robosuite.environments.manipulation.lift import Lift
from robosuite.models.objects import BoxObject

from vilp_ros.sim.scene import OBJECT, OBJECT_TOP
from vilp_ros.sim.table import add_mark, table_with, worldbody

LOOKS = {
    "block0_g0": OBJECT,
    "block1_g0": "0.12 0.25 0.70 1",
    "block2_g0": "0.75 0.60 0.10 1",
}
TOPS = {
    "block0_g0": OBJECT_TOP,
    "block1_g0": "0.40 0.55 0.98 1",
    "block2_g0": "0.98 0.88 0.35 1",
}
"""Colours of three blocks, red, blue and yellow, and of their tops."""
GOAL_PAD, OTHER_PAD = "0.10 0.55 0.20 1", "0.45 0.47 0.50 1"
NEAR = 0.035  # m from the middle of a place: a block stands on it
DONE = 0.02  # m from the middle of the goal
_LET_GO = 0.04  # m from the topmost block to the point between the fingertips

Stacks = tuple[tuple[int, ...], ...]
"""Blocks on each place, the lowest first."""


class Towers(Lift):
    """robosuite's table with blocks and pads; a task says of what size, and where.

    Attributes:
        SIZES: (3,) half sizes of each block, metres.
        PLACES: how many there are; the last one is the goal, whose pad is green.
        PAD: half the side of a pad, metres.
        LARGER_BELOW: whether no block may lie on a smaller one; blocks count from the largest.
    """

    SIZES: tuple[tuple[float, float, float], ...]
    PLACES: int
    PAD: float
    LARGER_BELOW: bool

    def _arrange(self) -> tuple[np.ndarray, Stacks]:
        """Middles (P, 2) of the places from the table's middle, metres, and what stands there."""
        raise NotImplementedError

    def _load_model(self) -> None:
        super()._load_model()  # places the arm; its table and cube are replaced below
        self.blocks = [
            BoxObject(name=f"block{n}", size=size, rgba=[1, 0, 0, 1])
            for n, size in enumerate(self.SIZES)
        ]
        self.model = table_with(self, self.blocks)

    def edit_model_xml(self, xml: str) -> str:
        """Adds the pads: weightless and without contact, so that their place is part of a state."""
        root = ET.fromstring(super().edit_model_xml(xml))
        world = worldbody(root)
        for n in range(self.PLACES):
            body = ET.SubElement(world, "body", name=f"place{n}", gravcomp="1")
            ET.SubElement(body, "freejoint", name=f"place{n}_joint")
            inertia = {"pos": "0 0 0", "mass": "0.01", "diaginertia": "1e-4 1e-4 1e-4"}
            ET.SubElement(body, "inertial", inertia)
            colour = GOAL_PAD if n == self.PLACES - 1 else OTHER_PAD
            add_mark(body, f"place{n}_g0", (self.PAD, self.PAD), colour)
        return ET.tostring(root, encoding="unicode")

    def _setup_references(self) -> None:
        super(Lift, self)._setup_references()
        name = self.sim.model.body_name2id
        self._blocks = [name(f"block{n}_main") for n in range(len(self.SIZES))]
        self._goal = name(f"place{self.PLACES - 1}")

    def _reset_internal(self) -> None:
        super(Lift, self)._reset_internal()
        middles, stacks = self._arrange()
        for n, (middle, stack) in enumerate(zip(middles, stacks, strict=True)):
            height = float(self.table_offset[2])
            self.sim.data.set_joint_qpos(f"place{n}_joint", [*middle, height, 1, 0, 0, 0])
            for block in stack:
                half = self.SIZES[block][2]
                pose = [*middle, height + half + 0.0005, 1, 0, 0, 0]
                self.sim.data.set_joint_qpos(self.blocks[block].joints[0], pose)
                height += 2 * half

    def _check_success(self) -> bool:
        """Whether all blocks stand on the goal, in an allowed order, and the hand has let go."""
        where = self.sim.data.body_xpos[self._blocks]
        if np.abs(where[:, :2] - self.sim.data.body_xpos[self._goal][:2]).max() > DONE:
            return False
        order = np.argsort(where[:, 2])
        if self.LARGER_BELOW and (order != np.arange(len(order))).any():
            return False
        height = float(self.table_offset[2])
        for block in order:
            half = self.SIZES[block][2]
            if abs(where[block, 2] - height - half) > 0.006:
                return False
            height += 2 * half
        hand = self.sim.data.site_xpos[self.robots[0].eef_site_id["right"]]
        return bool(hand[2] > where[:, 2].max() + _LET_GO)


def read_stacks(truth: Mapping[str, np.ndarray], blocks: int, places: int) -> Stacks:
    """What stands on each place; a block that stands on none has a place of its own, behind.

    Args:
        truth: poses `block<n>` and `place<n>`, see `SimEnv.truth`.
        blocks: how many.
        places: how many.
    """
    found: list[list[int]] = [[] for _ in range(places)]
    middles = np.array([truth[f"place{n}"][:2] for n in range(places)])
    for block in sorted(range(blocks), key=lambda n: float(truth[f"block{n}"][2])):
        off = np.linalg.norm(middles - truth[f"block{block}"][:2], axis=1)
        if off.min() < NEAR:
            found[int(off.argmin())].append(block)
        else:
            found.append([block])
    return tuple(tuple(stack) for stack in found)


def first_move(stacks: Stacks, places: int, larger_below: bool) -> tuple[int, int] | None:
    """The first move of a shortest way to bring all blocks to the last place.

    Args:
        stacks: see `read_stacks`.
        places: how many blocks may be moved to.
        larger_below: whether no block may be laid on a smaller one.

    Returns:
        block and place; None if all are there, or there is no way.
    """
    blocks = sum(map(len, stacks))
    queue: deque[tuple[Stacks, tuple[int, int] | None]] = deque([(stacks, None)])
    known = {stacks}
    while queue:
        now, first = queue.popleft()
        goal = now[places - 1]
        if len(goal) == blocks and (not larger_below or list(goal) == sorted(goal)):
            return first
        for source, stack in enumerate(now):
            for target in range(places):
                if source == target or not stack:
                    continue
                block = stack[-1]
                if larger_below and now[target] and now[target][-1] > block:
                    continue
                changed: list[Sequence[int]] = list(now)
                changed[source] = stack[:-1]
                changed[target] = (*now[target], block)
                then = tuple(tuple(s) for s in changed)
                if then not in known:
                    known.add(then)
                    queue.append((then, first or (block, target)))
    return None
