"""Faults between the controller and the arm: their processes, over libfranka's own protocol."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from bad_network import BadNetwork
from fault_log import Fault, Track
from geometry_msgs.msg import PoseStamped
from robots import FR3, HOME_JOINTS
from ros_rig import Probe
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from waves import WavePlanner

from vilp_ros.data.observe import from_pose
from vilp_ros.ros import qos
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.messages import to_stamp
from vilp_ros.ros.supervisor import Supervisor

pytestmark = pytest.mark.slow
CONTROLLER = Path(__file__).parents[1] / "support/wave_controller.py"
CLOCK_HZ = 200.0
SOAK_S = 60.0


class Time:
    """/clock, which the test may set."""

    def __init__(self, probe: Probe) -> None:
        self.offset_s = 0.0
        self._publisher = probe.node.create_publisher(Clock, "/clock", qos.SENSOR)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def now_s(self) -> float:
        return time.time() + self.offset_s

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1 / CLOCK_HZ):
            self._publisher.publish(Clock(clock=to_stamp(self.now_s())))


class Chain:
    """A planner in this process, the controller and the driver in their own, and the arm."""

    def __init__(self, probe: Probe, host: str, model: Path, *words: str) -> None:
        self.probe, self.clock = probe, Time(probe)
        self.lines: list[str] = []
        given = ["sim:=false", "driver:=true", "realtime:=false", "contract:=fr3_direct"]
        given += [f"robot_ip:={host}", f"model:={model}", "enabled:=true", *words]
        table = {p.name: p for p in processes(parse(given))}
        controller = table["controller"]
        command = (sys.executable, str(CONTROLLER), *controller.command[4:])
        chosen = [table["franka_driver"], dataclasses.replace(controller, command=command)]
        self.nodes = Supervisor(chosen, write=self.lines.append)
        self.joint_states = probe.listen(JointState, "joint_states", profile=qos.STATE_IN)
        self.poses = probe.listen(PoseStamped, "ee_pose", profile=qos.STATE_IN)
        self.hand = Track(probe, "ee_pose", "arm", noise_m=2e-4)
        self.planner = WavePlanner(probe, self, FR3.proprio.joint_names)

    def begin(self) -> None:
        """The arm is led home and then follows the planner."""
        self.start_driver()
        commands = self.probe.node.create_publisher(
            JointTrajectory, "joint_trajectory", qos.COMMANDS
        )
        self.probe.spin_until(commands.get_subscription_count, "the driver")
        self._go_home(commands)
        self.probe.node.destroy_publisher(commands)
        self.nodes.start("controller")
        self.planner.begin()
        self.moves()

    def close(self) -> None:
        self.nodes.stop()
        self.clock.close()

    @property
    def pose(self) -> np.ndarray:
        return from_pose(self.poses[-1].pose)

    @property
    def joints(self) -> np.ndarray:
        return np.array(self.joint_states[-1].position)

    def now_s(self) -> float:
        return self.clock.now_s()

    def work(self) -> None:
        """As `WavePlanner` wants it: this arm moves by itself."""

    def until_driver(self, says: str) -> str:
        """Wait for words of the driver; the whole of them."""
        self.planner.until(lambda: self.probe.says("franka_driver", says), says)
        return self.probe.reports["franka_driver"].message

    def start_driver(self) -> None:
        self.probe.reports.pop("franka_driver", None)
        self.nodes.start("franka_driver")
        ready = lambda: self.probe.says("franka_driver", "ready")  # noqa: E731
        self.probe.spin_until(ready, "the driver")

    def moves(self) -> None:
        """Wait until the driver says so, from now on, and the hand has gone 2 cm."""
        self.probe.reports.pop("franka_driver", None)
        working = ("following", "gripper:")
        says = lambda: any(self.probe.says("franka_driver", w) for w in working)  # noqa: E731
        self.planner.until(says, "a driver that follows")
        count = len(self.hand.told)
        far = lambda: np.ptp(self.hand.hand(count), axis=0).max() > 0.02  # noqa: E731
        self.planner.until(lambda: len(self.hand.told) > count + 1 and far(), "the arm to move")

    def stands(self) -> None:
        count = len(self.hand.told)

        def still():
            recent = self.hand.hand(len(self.hand.told) - 50)
            return len(self.hand.told) > count + 50 and np.ptp(recent, axis=0).max() < 1e-3

        self.planner.until(still, "rest")

    def _go_home(self, commands) -> None:
        """Slowly, and in pieces: a start further than start_distance_rad is refused."""
        self.probe.spin_until(lambda: self.joint_states and self.poses, "the state of the arm")
        while abs(self.joints - HOME_JOINTS).max() > 0.02:
            u = np.linspace(0, 1, 80)[:, None]
            line = self.joints + (HOME_JOINTS - self.joints) * (u * u * (3 - 2 * u))
            path = np.vstack([line, np.repeat(HOME_JOINTS[None], 12, axis=0)])
            network = BadNetwork(commands, path, delay_s=0, loss=0)
            self.probe.spin_until(lambda n=network: n.work() or n.done(), "home")
            self.stands()


@pytest.fixture(scope="module")
def chain(request, probe, franka_sim, tmp_path_factory):
    """Parameter: further launch arguments."""
    model, words = tmp_path_factory.mktemp("bundle"), getattr(request, "param", ())
    chain = Chain(probe, franka_sim, model, *words)
    try:
        chain.begin()
        yield chain
    finally:
        chain.close()
        print(*chain.lines[-20:], sep="")
        print(probe.reports.get("franka_driver"))


@pytest.fixture(autouse=True)
def moving(chain):
    chain.moves()


def test_pictures_whose_stamps_jitter_cause_no_reflex(chain):
    """A minute of plans, late, lost, with steps, through the controller and the driver."""
    chain.planner.jitter_s, began_s = 0.005, chain.planner.time_s
    chain.planner.until(lambda: chain.planner.time_s > began_s + SOAK_S, "it", SOAK_S + 60)
    chain.planner.jitter_s = 0.0
    chain.moves()
    assert chain.probe.values("franka_driver")["reflexes"] == "0"


def test_a_killed_controller_leaves_the_arm_at_rest_at_the_end_of_its_trajectory(chain):
    fault = Fault("controller killed", chain.hand)
    chain.nodes.signal("controller", signal.SIGKILL)
    read = chain.until_driver("the trajectory is over: holding")
    chain.stands()
    fault.held("ends its last trajectory at rest, holds", read)
    fault.cured()
    chain.nodes.start("controller")
    chain.moves()
    fault.over("start it again")
    assert chain.probe.values("franka_driver")["reflexes"] == "0"


def test_stop_in_the_middle_of_a_motion_halts_it_until_it_is_enabled(chain):
    client = chain.probe.node.create_client(Trigger, "franka_driver/stop")
    chain.planner.until(client.service_is_ready, "the service")
    fault = Fault("stop pressed mid-motion", chain.hand)
    answer = client.call_async(Trigger.Request())
    chain.planner.until(answer.done, "the answer")
    read = chain.until_driver("stopped until ~/enable")
    chain.stands()
    fault.held("brakes within the limits", read)
    fault.cured()
    enable = chain.probe.node.create_client(SetBool, "franka_driver/enable")
    chain.planner.until(enable.service_is_ready, "the service")
    enable.call_async(SetBool.Request(data=True))
    chain.moves()
    fault.over("`~/enable`, fades in")


def test_a_killed_driver_leaves_the_arm_to_its_own_stop(chain, franka_sim):
    import pylibfranka

    fault = Fault("driver killed", chain.hand)
    before = chain.joints
    chain.nodes.signal("franka_driver", signal.SIGKILL)
    killed_s = time.monotonic()
    arm = pylibfranka.Robot(franka_sim, pylibfranka.RealtimeConfig.kIgnore)
    seen = [(time.monotonic() - killed_s, np.array(arm.read_once().q))]
    while seen[-1][0] < 3.0:
        seen.append((time.monotonic() - killed_s, np.array(arm.read_once().q)))
    del arm
    rest = seen[-1][1]
    moved = [t for t, q in seen if abs(q - rest).max() > 5e-3]
    rest_s = moved[-1] if moved else seen[0][0]  # it was at rest when it was seen first
    assert rest_s < 2.9, "it does not stop"
    assert abs(rest - before).max() < 0.3
    says = "holding: no plan for"  # nor does it hear of the arm any more
    chain.probe.spin_until(lambda: chain.probe.says("controller", says), says)
    read = chain.probe.reports["controller"].message
    chain.start_driver()
    np.testing.assert_allclose(chain.joints, rest, atol=0.02)
    fault.held("stops by itself (here franka-sim's own stop)", read, rest_s)
    fault.cured()
    chain.moves()
    fault.over("start it again, fades in")


def test_a_stuck_gripper_is_told_and_the_arm_goes_on(chain, franka_server):
    widths = chain.probe.listen(JointState, "gripper_state", profile=qos.STATE_IN)
    chain.planner.until(lambda: widths and abs(widths[-1].position[0] - 0.04) < 1e-3, "0.04 m")
    fault = Fault("gripper stuck", chain.hand)
    franka_server.process.send_signal(signal.SIGUSR1)
    chain.planner.width = 0.07
    read = chain.until_driver("gripper: stands at 0.040 m, not at 0.0")
    chain.moves()
    fault.went_on("goes on", read)
    franka_server.process.send_signal(signal.SIGUSR1)
    fault.cured()
    chain.planner.width = 0.03
    near = 0.03 + 0.005  # the driver takes targets less than 4 mm apart for one
    chain.planner.until(lambda: widths[-1].position[0] < near, "0.03 m")
    chain.planner.until(lambda: not chain.probe.says("franka_driver", "gripper:"), "the news")
    fault.over("clear it; next target")


@pytest.mark.parametrize("chain", [("use_sim_time:=true",)], indirect=True)
def test_a_clock_set_back_is_no_way_back_in_time(chain):
    fault = Fault("clock set back by 10 s, trajectories", chain.hand)
    refused = int(chain.probe.values("franka_driver")["trajectories_refused"])
    began_s = chain.planner.time_s  # which goes on when the clock is set
    chain.clock.offset_s -= 10.0
    chain.planner.until(lambda: chain.planner.time_s > began_s + 3, "three seconds")
    chain.moves()
    now = int(chain.probe.values("franka_driver")["trajectories_refused"])
    assert now - refused < 20  # not all of ten seconds
    assert chain.probe.values("franka_driver")["reflexes"] == "0"
    fault.went_on("goes on from where it is", chain.probe.reports["franka_driver"].message)
    fault.over("by itself, fades in")
