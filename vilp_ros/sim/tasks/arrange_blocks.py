"""`arrange_blocks`: three blocks pushed onto a line with the closed hand.

As in VILP's simulation a row is a line, not three places: done when the middle of every block lies
over it, wherever along it and however turned. Its 10 of 480 pixels to either side, beside blocks of
85, are 6 mm beside these of 5 cm; so wide is the line that is seen.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from robosuite.environments.manipulation.lift import Lift
from robosuite.models.objects import BoxObject

from vilp_ros.sim.row_expert import BLOCKS, HALF_SIZE, RowExpert
from vilp_ros.sim.scene import OBJECT, OBJECT_TOP, Camera
from vilp_ros.sim.table import add_mark, table_with, worldbody
from vilp_ros.sim.task import Disturbance, Task

NEAR = 0.006  # m from the line to the middle of a block that is in the row
OFF = (0.04, 0.10)  # m from the line to a block at the start, on either side
REACH, APART = 0.15, 0.09  # m along the line from its middle; between blocks
_LINE = "0.10 0.55 0.20 1"
_LINE_SIZE = (NEAR, 0.21)


class ArrangeBlocks(Lift):
    """robosuite's table with three blocks and a line from left to right through its middle."""

    def _load_model(self) -> None:
        super()._load_model()  # places the arm; its table and cube are replaced below
        self.blocks = [
            BoxObject(
                name=f"block{n}", size=HALF_SIZE, rgba=[1, 0, 0, 1], friction=[0.4, 5e-3, 1e-4]
            )
            for n in range(BLOCKS)
        ]
        self.model = table_with(self, self.blocks)

    def edit_model_xml(self, xml: str) -> str:
        """Adds the line; the blocks slide, even on fingers with rubber tips."""
        root = ET.fromstring(super().edit_model_xml(xml))
        for geom in root.iter("geom"):
            if geom.get("name", "").startswith("block") and geom.get("group") == "0":
                geom.set("priority", "1")
        place = f"0 0 {self.table_offset[2]}"
        line = ET.SubElement(worldbody(root), "body", name="row", pos=place)
        add_mark(line, "row_g0", _LINE_SIZE, _LINE)
        return ET.tostring(root, encoding="unicode")

    def _setup_references(self) -> None:
        super(Lift, self)._setup_references()
        name = self.sim.model.body_name2id
        self._blocks = [name(f"block{n}_main") for n in range(BLOCKS)]

    def _reset_internal(self) -> None:
        super(Lift, self)._reset_internal()
        # Gaps of APART and what is left of the reach, shared out: even over all that is possible.
        left = 2 * REACH - (BLOCKS - 1) * APART
        along = np.sort(self.rng.uniform(0, left, BLOCKS)) + APART * np.arange(BLOCKS) - REACH
        off = self.rng.uniform(*OFF, BLOCKS) * self.rng.choice([-1, 1], BLOCKS)
        yaws = self.rng.uniform(-np.pi, np.pi, BLOCKS)
        height = self.table_offset[2] + HALF_SIZE[2] + 0.0005
        for block, x, y, yaw in zip(self.blocks, off, along, yaws, strict=True):
            pose = [x, y, height, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
            self.sim.data.set_joint_qpos(block.joints[0], pose)

    def measured(self) -> float:
        """Share of the blocks that are in the row; they stand on the table."""
        off, _, height = np.abs(self.sim.data.body_xpos[self._blocks]).T
        stands = height < self.table_offset[2] + HALF_SIZE[2] + 0.005
        return float(((off <= NEAR) & stands).mean())

    def _check_success(self) -> bool:
        return self.measured() == 1.0


TASK = Task(
    environment=ArrangeBlocks,
    expert=RowExpert,
    objects={f"block{n}": f"block{n}_main" for n in range(BLOCKS)} | {"row": "row"},
    looks={f"block{n}_g0": OBJECT for n in range(BLOCKS)},
    tops={f"block{n}_g0": OBJECT_TOP for n in range(BLOCKS)},
    max_steps=500,
    after_success=12,
    agentview=Camera(position=(0.62, 0.0, 1.42), target=(0.0, 0.0, 0.83), fovy=27.0),
    modes=("left_first", "right_first"),
    disturbance=Disturbance(
        position=(0.02, 0.02, 0.02),
        yaw=0.0,
        fingers=False,
        careful=("push",),
        start=(0.06, 0.06, 0.04, 0.0),
    ),
    rest_width=0.0,
    measure="in_row",
)
