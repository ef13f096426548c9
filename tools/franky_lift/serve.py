"""Serves franky-sim with a cube and two cameras in its scene; run by serve.sh, in its environment.

  serve.py FOLDER [127.0.0.1]

FOLDER gets scene.xml and state (float64: time, qpos), from which cameras.py makes the pictures, and
place (float64: number, x, y): the cube is put at x, y whenever the number changes.
"""

import itertools
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from franky_sim import SimulationServer
from franky_sim.franka_gripper_protocol import GripperCommandStatus
from franky_sim.franka_gripper_server import BaseCommand, FrankaGripperServer
from franky_sim.mujoco_simulator import MujocoSimulator

VISIBLE = {"group": "4"}  # what vilp_ros.sim.renderer draws
HOME = (0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854)


def answering(method):
    """The command that a newer one ends is told so, as by a Franka Hand; else it waits forever."""

    def method_that_answers(self, *words):
        if self._pending_command_id is not None:
            BaseCommand.send_response(
                self._pending_tcp_socket,
                self._pending_command_type,
                self._pending_command_id,
                GripperCommandStatus.kAborted,
                command_type_struct="H",
                status_type_struct="H",
            )
        method(self, *words)

    return method_that_answers


FrankaGripperServer.stop = answering(FrankaGripperServer.stop)
FrankaGripperServer._start_motion = answering(FrankaGripperServer._start_motion)
folder, host = Path(sys.argv[1]), (sys.argv[2:] or ["127.0.0.1"])[0]
signal.signal(signal.SIGTERM, signal.default_int_handler)
with MujocoSimulator() as sim:
    robot, world = sim.add_robot(HOME, 0.08), sim.worldbody
    ground = world.find("geom[@name='ground']")
    ground.attrib.pop("material")
    ground.attrib |= VISIBLE | {"rgba": "0.62 0.66 0.66 1"}
    for geom in world.iter("geom"):
        if geom.get("class") == "collision":
            geom.attrib |= VISIBLE | {"rgba": "0.93 0.94 0.95 1"}
    cube = ET.SubElement(world, "body", name="cube", pos="0.5 0 0.02")
    ET.SubElement(cube, "freejoint", name="cube")
    look = VISIBLE | {"rgba": "0.72 0.10 0.08 1", "friction": "1.5 0.01 0.001", "condim": "4"}
    ET.SubElement(cube, "geom", type="box", size="0.02 0.02 0.02", mass="0.05", **look)
    ET.SubElement(world, "body", name="middle", pos="0.5 0 0.1")
    eye = {"mode": "targetbody", "target": "middle", "pos": "1.2 0 0.55", "fovy": "30"}
    ET.SubElement(world, "camera", name="agentview", **eye)
    # 8.5 cm in front of the fingers, tilted 14 degrees back to them, as in vilp_ros.sim.scene.
    eye = {"pos": "0.085 0 0", "xyaxes": "0 1 0 0.970296 0 0.241922", "fovy": "75"}
    ET.SubElement(world.find(".//body[@name='robot0_hand']"), "camera", name="eye_in_hand", **eye)
    with SimulationServer(sim, hostname_candidates=[host]) as server:
        shape = (1 + sim.model.nq,)
        state = np.memmap(folder / "state", np.float64, "w+", shape=shape)
        place, placed = np.memmap(folder / "place", np.float64, "w+", shape=(3,)), 0.0
        (folder / "scene.xml").write_text(ET.tostring(sim.scene, encoding="unicode"))
        try:
            for tick in itertools.count():
                server.run_once()
                if tick % 10 == 0:
                    if place[0] != placed:
                        placed = float(place[0])
                        sim.data.qpos[-7:] = [*place[1:], 0.02, 1, 0, 0, 0]
                        sim.data.qvel[-6:] = 0
                    state[1:] = sim.data.qpos
                    state[0] = sim.data.time
        except KeyboardInterrupt:
            pass
