"""What is wrong with a set-up before anything runs: findings, each with its cure.

Nothing here loads a weight or moves an arm. The parts are pure where they can be; `listen` joins
the graph for a second at most.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vilp_ros.contract import Contract, View
from vilp_ros.errors import VilpError
from vilp_ros.nodes.files import find_contract, find_model
from vilp_ros.share import share_dir

GREEN, YELLOW, RED = "ok", "warn", "fail"
LISTEN_S = 1.0
ENOUGH = 10  # messages of a channel, for its rate
SLOW_SHARE = 0.8  # of the rate that is wanted, below which a channel is too slow
CONNECT_S = 0.3
SEGMENT_BYTES = 512 * 1024  # Fast DDS's default shared memory, less than one large image
FCI_PORT = 1337
SKEW_S = 0.05


@dataclass(frozen=True)
class Finding:
    """One row of the table; `cure` is what to do about it, empty where all is well."""

    check: str
    state: str
    found: str
    cure: str = ""


def middleware(environment: Mapping[str, str]) -> list[Finding]:
    """ROS itself: can it be imported, and which graph would it join?"""
    try:
        import rclpy  # noqa: F401
        from rclpy.utilities import get_rmw_implementation_identifier

        rmw = get_rmw_implementation_identifier()
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        wanted = environment.get("RMW_IMPLEMENTATION", "")
        cure = "source ROS 2, or use the .venv of `make setup`"
        if wanted:
            cure = f"unset RMW_IMPLEMENTATION, or install {wanted}"
        return [Finding("rmw", RED, text, cure)]
    findings = [Finding("rmw", GREEN, rmw)]
    domain = environment.get("ROS_DOMAIN_ID", "0")
    if not domain.isdigit() or int(domain) > 101:
        cure = "export ROS_DOMAIN_ID=N with N from 0 to 101, the same on every host"
        return [*findings, Finding("domain", RED, f"ROS_DOMAIN_ID={domain}", cure)]
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    return [*findings, Finding("domain", GREEN, f"{domain}, discovery range {reach}")]


def shared_memory(contract: Contract, environment: Mapping[str, str]) -> Finding:
    """In a segment smaller than one of them, large images are lost, or come seconds late."""
    profile = environment.get("FASTRTPS_DEFAULT_PROFILES_FILE", "")
    if profile and not Path(profile).is_file():
        cure = "correct FASTRTPS_DEFAULT_PROFILES_FILE, or unset it"
        return Finding("shared memory", RED, f"no file {profile}", cure)
    large = [v.name for v in contract.views.values() if _bytes(v) > SEGMENT_BYTES]
    if large and not profile:
        found = f"{', '.join(large)} larger than the default segment of 512 KiB"
        cure = (
            f"export FASTRTPS_DEFAULT_PROFILES_FILE={share_dir() / 'config/fastdds.xml'} wherever "
            "cameras and nodes are started"
        )
        return Finding("shared memory", RED, found, cure)
    return Finding("shared memory", GREEN, profile or "images fit the default segment")


def _bytes(view: View) -> int:
    channels = {"mono8": 1, "rgb8": 3, "bgr8": 3}.get(view.encoding, 4)
    return math.prod(view.published) * channels


def real_time(needed: bool, root: Path = Path("/sys")) -> list[Finding]:
    """What a 1 kHz loop needs of the host that runs franka_driver."""
    state = RED if needed else YELLOW
    kernel = root / "kernel/realtime"
    preempt = kernel.is_file() and kernel.read_text().strip() == "1"
    priority = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    allowed = os.geteuid() == 0 or priority == resource.RLIM_INFINITY or priority >= 60
    governors = {
        p.read_text().strip() for p in root.glob("devices/system/cpu/*/cpufreq/scaling_governor")
    }
    slow = governors - {"performance"}
    return [
        Finding("real-time kernel", GREEN, "PREEMPT_RT")
        if preempt
        else Finding(
            "real-time kernel",
            state,
            "this kernel is not PREEMPT_RT",
            "Ubuntu: `pro enable realtime-kernel`; or realtime:=false, never with a real arm",
        ),
        Finding("real-time priority", GREEN, "may be taken")
        if allowed
        else Finding(
            "real-time priority",
            state,
            f"limit {priority}, 60 wanted",
            "`@realtime - rtprio 99` in /etc/security/limits.conf, join that group, log in again",
        ),
        Finding("cpu governor", GREEN, ", ".join(governors) or "none")
        if not slow
        else Finding(
            "cpu governor", YELLOW, ", ".join(slow), "`cpupower frequency-set -g performance`"
        ),
    ]


def robot(address: str) -> Finding:
    """Does the control box answer, and is FCI active?"""
    try:
        with socket.create_connection((address, FCI_PORT), CONNECT_S):
            return Finding("robot", GREEN, f"{address} answers")
    except ConnectionRefusedError:
        return Finding(
            "robot", RED, f"{address} refuses", "activate FCI in Desk, unlock the joints"
        )
    except OSError as error:
        cure = "cable to the control box, this host's address in its subnet, robot_ip"
        return Finding("robot", RED, f"{address}: {error}", cure)


def libraries(contract: Contract, driver: bool) -> Finding:
    """What the contract's way to the arm needs installed."""
    wanted = {}
    if contract.action.sends != contract.action.kind or driver:
        wanted["frankik"] = "pip install '.[franka]'"
    if driver:
        wanted["franky"] = "pip install '.[franka]'"
    if contract.action.gripper == "franka_actions":
        wanted["franka_msgs"] = "source franka_ros2, or action.gripper: topic in the contract"
    for name, cure in wanted.items():
        try:
            __import__(name)
        except ImportError:
            return Finding("libraries", RED, f"no {name}", cure)
    return Finding("libraries", GREEN, ", ".join(wanted) or "nothing more is needed")


def contract_of(value: str) -> tuple[Contract | None, Finding]:
    """The contract, or why it cannot be used."""
    try:
        contract = Contract.load(find_contract(value))
    except VilpError as error:
        cure = "correct it; vilp_ros/contract/__init__.py explains every key"
        return None, Finding("contract", RED, str(error), cure)
    way = contract.action.transport
    return contract, Finding("contract", GREEN, f"{contract.robot}, sends {way}")


def bundle(contract: Contract, model: str) -> Finding:
    """Was the bundle made for this robot? Reads no weight."""
    from vilp_ros.policy.spec import load_spec

    try:
        folder = find_model(model)
        contract.check_bundle(vars(load_spec(folder)))
    except VilpError as error:
        return Finding("bundle", RED, str(error), "another model, or change the contract")
    return Finding("bundle", GREEN, f"{folder.name} fits")


@dataclass
class Heard:
    """One topic while listening: arrivals (steady s), stamp ages (s), what an image is like."""

    arrivals: list[float]
    ages: list[float]
    shapes: set[str]
    publishers: int = 0


START_CAMERA = (
    "start the camera's driver (simulated: `vilp up`), or correct views.*.topic; same domain?"
)


def judge_view(view: View, heard: Heard) -> Finding:
    """Rate, size and age of a camera against the contract."""
    name = f"camera {view.name}"
    if not heard.arrivals:
        why = f"nothing on {view.topic}"
        if heard.publishers:
            cure = (
                "its QoS: reliability in the contract must not ask for more than the driver gives"
            )
            return Finding(name, RED, f"{why}, though {heard.publishers} publish", cure)
        return Finding(name, RED, why, START_CAMERA)
    height, width = view.published
    wanted = f"{height}x{width} {view.encoding}"
    if heard.shapes != {wanted}:
        found = f"{', '.join(sorted(heard.shapes))}; the contract says {wanted}"
        return Finding(name, RED, found, "set the driver, or camera_size in the contract")
    rate_hz = _rate(heard.arrivals)
    if rate_hz < SLOW_SHARE * view.rate_hz:
        found = f"{rate_hz:.1f} Hz; the contract says {view.rate_hz:g} Hz"
        return Finding(name, RED, found, "exposure, USB bandwidth, network; or correct rate_hz")
    return Finding(name, GREEN, f"{wanted} at {rate_hz:.1f} Hz, {view.rate_hz:g} Hz promised")


def judge_state(name: str, heard: Heard, period_s: float) -> Finding:
    """Rate of a part of the arm's state. No contract promises one; a step needs a fresh value."""
    if not heard.arrivals:
        cure = "start the arm (simulated: `vilp up`), or correct proprio.* in the contract"
        return Finding(name, RED, "nothing received", cure)
    rate_hz, least = _rate(heard.arrivals), f"{1 / period_s:g} Hz, once a control period"
    if rate_hz < SLOW_SHARE / period_s:
        cure = "raise the rate of the arm's driver, or control_period_s with another model"
        return Finding(name, RED, f"{rate_hz:.1f} Hz; needed are {least}", cure)
    return Finding(name, GREEN, f"{rate_hz:.0f} Hz, at least {least}, are needed")


def judge_clock(channel: str, heard: Heard, limit_s: float) -> Finding | None:
    """Are stamps plausible? None without any."""
    if not heard.ages:
        return None
    age_s = sorted(heard.ages)[len(heard.ages) // 2]
    if age_s < -SKEW_S:
        cure = "chrony or ptp4l on both hosts"
        return Finding("clock", RED, f"{channel} is stamped {-age_s:.2f} s ahead of us", cure)
    if age_s > limit_s:
        cure = "chrony or ptp4l on both hosts; latency_s if the driver stamps late"
        return Finding("clock", RED, f"{channel} is stamped {age_s:.2f} s ago", cure)
    return None


def _rate(arrivals: list[float]) -> float:
    if len(arrivals) < 2:
        return 0.0
    return (len(arrivals) - 1) / max(arrivals[-1] - arrivals[0], 1e-6)


def heard_enough(heard: Mapping[str, Heard]) -> bool:
    """Whether every channel has a rate that may be judged."""
    return all(len(note.arrivals) >= ENOUGH for note in heard.values())


def listen(contract: Contract, namespace: str) -> list[Finding]:
    """Join the graph for a moment: cameras, state of the arm, clocks, other commanders."""
    import rclpy
    from geometry_msgs.msg import PoseStamped
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image, JointState

    from vilp_ros.nodes import qos

    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(
        "doctor",
        context=context,
        namespace=namespace,
        enable_rosout=False,
        start_parameter_services=False,
    )
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard: dict[str, Heard] = {}

    def subscribe(name: str, kind: Any, topic: str, profile: Any) -> None:
        heard[name] = note = Heard([], [], set())

        def callback(message: Any) -> None:
            stamp = message.header.stamp
            note.arrivals.append(time.monotonic())
            note.ages.append(time.time() - stamp.sec - 1e-9 * stamp.nanosec)
            if kind is Image:
                note.shapes.add(f"{message.height}x{message.width} {message.encoding}")

        node.create_subscription(kind, topic, callback, profile)

    proprio = contract.proprio
    for view in contract.views.values():
        subscribe(view.name, Image, view.topic, qos.camera(view))
    subscribe("ee_pose", PoseStamped, proprio.ee_pose_topic, qos.STATE_IN)
    subscribe("joints", JointState, proprio.joint_state_topic, qos.STATE_IN)
    subscribe("gripper", JointState, proprio.gripper_topic, qos.STATE_IN)
    try:
        until = time.monotonic() + LISTEN_S
        while (left := until - time.monotonic()) > 0:
            # Half the time at least, for publishers that nobody has discovered yet.
            if left < LISTEN_S / 2 and heard_enough(heard):
                break
            executor.spin_once(timeout_sec=left)
        for view in contract.views.values():
            heard[view.name].publishers = node.count_publishers(view.topic)
        action = contract.action
        target = (action.pose_topic if action.sends == "ee_pose" else action.joint_topic) or ""
        commanders = node.count_publishers(target)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    return judge_graph(contract, heard, commanders)


def judge_graph(contract: Contract, heard: Mapping[str, Heard], commanders: int) -> list[Finding]:
    """Findings about what was heard."""
    findings = [judge_view(view, heard[view.name]) for view in contract.views.values()]
    period_s = contract.control_period_s
    for name in ("ee_pose", "joints", "gripper"):
        findings.append(judge_state(f"arm {name}", heard[name], period_s))
    clocks = [judge_clock(name, note, contract.staleness_s) for name, note in heard.items()]
    wrong = [clock for clock in clocks if clock is not None]
    if any(note.ages for note in heard.values()):
        findings += wrong or [Finding("clock", GREEN, "stamps are recent")]
    else:
        findings.append(Finding("clock", YELLOW, "no stamps to judge", "see above"))
    if commanders > 1:
        cure = "end all but one; crisp_controllers listen to nobody otherwise"
        findings.append(Finding("commanders", RED, f"{commanders} publish commands", cure))
    return findings


def examine(
    contract_name: str,
    model: str,
    *,
    driver: bool = False,
    robot_ip: str = "",
    graph: bool = True,
    namespace: str = "",
    told: Callable[[Finding], object] = lambda finding: None,
) -> list[Finding]:
    """Everything, in the order in which a set-up is brought up.

    Args:
        contract_name: A file or a name in config/robots/.
        model: A folder or a name in models/; empty: no bundle.
        driver: franka_driver would run on this host.
        robot_ip: Of the control box; empty: not asked.
        graph: Listen to the running nodes.
        namespace: Of those nodes.
        told: Takes each finding as it is made.
    """
    findings: list[Finding] = []

    def add(*news: Finding) -> None:
        for finding in news:
            findings.append(finding)
            told(finding)

    ros = middleware(os.environ)
    add(*ros)
    contract, finding = contract_of(contract_name)
    add(finding)
    if robot_ip:
        add(robot(robot_ip))
    if driver:
        add(*real_time(needed=True))
    if contract is None:
        return findings
    add(libraries(contract, driver), shared_memory(contract, os.environ))
    if model:
        add(bundle(contract, model))
    if graph and all(f.state == GREEN for f in ros):
        add(*listen(contract, namespace))
    return findings
