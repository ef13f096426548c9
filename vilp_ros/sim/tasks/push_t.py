"""`push_t`: a stick in the hand pushes a T onto its outline on the table."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from robosuite.environments.manipulation.lift import Lift
from robosuite.models.objects import CompositeObject

from vilp_ros.sim.motion import object_yaw
from vilp_ros.sim.push_expert import PushExpert
from vilp_ros.sim.push_model import STICK_RADIUS, nearest
from vilp_ros.sim.scene import OBJECT_TOP, Camera
from vilp_ros.sim.table import add_mark, table_with, worldbody
from vilp_ros.sim.task import Disturbance, Task
from vilp_ros.sim.tee import RECTANGLES, STICK_LENGTH, THICKNESS, coverage, seen_from, turned

GOAL = np.array(
    [0.0, 0.0, np.pi / 4]
)  # x, y in metres and yaw of the outline, from the table's middle
SPAWN = 0.09
ENOUGH = 0.90
_REST = np.array([0.0, 0.4261, 0.0, -2.7575, 0.0, 3.1836, 0.7854])  # stick 20 cm before the middle
_OUTLINE, _STICK = "0.10 0.55 0.20 1", "0.15 0.16 0.20 1"


class PushT(Lift):
    """robosuite's table with a T on it, an outline, and a stick in the hand that starts low."""

    def __init__(self, **arguments: Any) -> None:
        # The stick's tip must stay where it is pushed at: noise on seven joints would lower it.
        super().__init__(initialization_noise=None, **arguments)

    def _load_model(self) -> None:
        super()._load_model()  # places the arm; its table and cube are replaced below
        self.robots[0].init_qpos = _REST
        half = THICKNESS / 2
        self.tee = CompositeObject(
            name="T",
            total_size=[0.06, 0.06, half],
            geom_types=["box"] * 2,
            geom_sizes=[[*size, half] for _, size in RECTANGLES],
            geom_locations=[[*middle, 0.0] for middle, _ in RECTANGLES],
            geom_frictions=[[0.5, 0.005, 0.0001]] * 2,
            locations_relative_to_center=True,
            density=600.0,
            solref=[0.01, 1.0],
            solimp=[0.95, 0.99, 0.001],
        )
        self.model = table_with(self, self.tee)

    def edit_model_xml(self, xml: str) -> str:
        """Adds the stick and the outline."""
        root = ET.fromstring(super().edit_model_xml(xml))
        for geom in root.iter("geom"):
            if geom.get("name", "").startswith("T_g") and geom.get("group") == "0":
                geom.attrib.update({"priority": "1", "conaffinity": "3"})
        site = root.find(".//site[@name='gripper0_right_grip_site']")
        hand = root.find(".//site[@name='gripper0_right_grip_site']/..")
        assert site is not None, "robosuite gave a hand without its site"
        assert hand is not None
        tip = float(site.get("pos", "").split()[2])
        stick = {
            "name": "stick",
            "type": "cylinder",
            "fromto": f"0 0 {tip - 0.03} 0 0 {tip + STICK_LENGTH}",
            "size": f"{STICK_RADIUS}",
            "mass": "0.02",
            "friction": "0.2 0.005 0.0001",
            "priority": "2",
            "contype": "2",  # touches the T alone
            "conaffinity": "0",
            "group": "0",
        }
        ET.SubElement(hand, "geom", stick)
        x, y, yaw = GOAL
        place = f"{x} {y} {self.table_offset[2]}"
        goal = ET.SubElement(worldbody(root), "body", name="goal", pos=place, euler=f"0 0 {yaw}")
        for n, (middle, size) in enumerate(RECTANGLES):
            place = f"{middle[0]} {middle[1]} {0.0001 * n}"
            add_mark(goal, f"goal_g{n}", size, _OUTLINE, place)
        return ET.tostring(root, encoding="unicode")

    def _setup_references(self) -> None:
        super(Lift, self)._setup_references()
        self._tee = self.sim.model.body_name2id("T_root")

    def _reset_internal(self) -> None:
        super(Lift, self)._reset_internal()
        stick = self.sim.data.site_xpos[self.robots[0].eef_site_id["right"]][:2]
        while True:
            pose = self.rng.uniform(-1, 1, 3) * [SPAWN, SPAWN, np.pi]
            apart = nearest(turned(stick - pose[:2], -pose[2])[None])[0][0]
            if apart > 0.03 and coverage(seen_from(GOAL, pose)) < 0.5:
                break
        height = self.table_offset[2] + THICKNESS / 2
        turn = [np.cos(pose[2] / 2), 0, 0, np.sin(pose[2] / 2)]
        self.sim.data.set_joint_qpos(self.tee.joints[0], [*pose[:2], height, *turn])

    def measured(self) -> float:
        """Share of the outline that the T covers."""
        w, *xyz = self.sim.data.body_xquat[self._tee]
        place = self.sim.data.body_xpos[self._tee]
        yaw = object_yaw(np.array([*place, *xyz, w]))
        return coverage(seen_from(GOAL, np.array([*place[:2], yaw])))

    def _check_success(self) -> bool:
        return self.measured() >= ENOUGH


TASK = Task(
    environment=PushT,
    expert=PushExpert,
    objects={"tee": "T_root", "goal": "goal"},
    looks={"T_g0": OBJECT_TOP, "T_g1": OBJECT_TOP, "stick": _STICK},
    max_steps=500,
    after_success=12,
    # From the side: the arm stays out of the way of the T, its yaw and its outline.
    agentview=Camera(position=(0.12, 0.62, 1.48), target=(0.0, 0.0, 0.82), fovy=22.0),
    modes=("best", "other"),
    disturbance=Disturbance(
        position=(0.02, 0.02, 0.0), yaw=0.0, fingers=False, careful=(), start=(0.0, 0.05, 0.0, 0.0)
    ),
    rest_width=2 * STICK_RADIUS,
    measure="coverage",
)
