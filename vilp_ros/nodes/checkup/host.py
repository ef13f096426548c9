"""What can be said of a host, a contract and a bundle without a graph."""

from __future__ import annotations

import math
import os
import resource
import socket
from collections.abc import Mapping
from pathlib import Path

from vilp_ros.contract import Arm, Contract, View
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of
from vilp_ros.nodes.checkup.finding import GREEN, RED, YELLOW, Finding
from vilp_ros.ros.files import find_contract, find_model
from vilp_ros.share import share_dir

CONNECT_S = 0.3
SEGMENT_BYTES = 512 * 1024  # Fast DDS's default shared memory, less than one large image
FCI_PORT = 1337
FRAGMENTS_S, FRAGMENTS_BYTES = 3, 128 * 2**20  # as ROS's documentation on tuning DDS has them


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
    if view.type != "sensor_msgs/Image":
        return 0  # compressed pictures are small
    channels = {"mono8": 1, "rgb8": 3, "bgr8": 3}.get(view.encoding, 4)
    return math.prod(view.published) * channels


def fragments(root: Path = Path("/proc/sys/net/ipv4")) -> Finding:
    """Would leftovers of lost packets close this host to pictures and plans from another?

    Of a message larger than a packet, of which one was lost, the kernel keeps the others, by
    default for 30 s; with 4 MB of them it takes no message of that size. At a loss of 1 % plans
    stayed away for ten seconds.
    """
    kept_s, room = (
        int((root / name).read_text()) if (root / name).is_file() else 0
        for name in ("ipfrag_time", "ipfrag_high_thresh")
    )
    found = f"pieces of lost messages are kept for {kept_s} s, in {room / 2**20:.0f} MB"
    if kept_s <= FRAGMENTS_S or room >= FRAGMENTS_BYTES:
        return Finding("fragments", GREEN, found)
    cure = (
        f"on both hosts, as root: sysctl -w net.ipv4.ipfrag_time={FRAGMENTS_S} "
        f"net.ipv4.ipfrag_high_thresh={FRAGMENTS_BYTES}"
    )
    return Finding("fragments", YELLOW, found, cure)


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
    if contract.action.sends != contract.action.kind or contract.proprio.ee_pose_topic is None:
        urdf = isinstance(contract.arm, Arm)
        library, extra = ("pinocchio", "urdf") if urdf else ("frankik", "franka")
        wanted[library] = f"pip install '.[{extra}]'"
    if driver:
        wanted |= dict.fromkeys(("frankik", "franky"), "pip install '.[franka]'")
    if contract.action.gripper == "franka_actions":
        wanted["franka_msgs"] = "source franka_ros2, or action.gripper: topic in the contract"
    if contract.action.gripper in ("gripper_command", "gripper_action"):
        wanted["control_msgs"] = "install ros-jazzy-control-msgs, or another action.gripper"
    for name, cure in wanted.items():
        try:
            __import__(name)
        except ImportError:
            return Finding("libraries", RED, f"no {name}", cure)
    return Finding("libraries", GREEN, ", ".join(wanted) or "nothing more is needed")


def arm(contract: Contract) -> list[Finding]:
    """Can joints become poses, where that is needed?"""
    if contract.arm is None:
        return []
    try:
        wider = kinematics_of(contract).wider()
    except VilpError as error:
        return [Finding("arm", RED, str(error), "correct arm and joint_names in the contract")]
    if wider:
        return [Finding("arm", YELLOW, wider, "narrow it, or correct joint_names' order")]
    named = contract.arm if isinstance(contract.arm, str) else contract.arm.urdf
    return [Finding("arm", GREEN, f"{named}, {len(contract.proprio.joint_names)} joints")]


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
