"""Every parameter of every node: default, unit, range, and whether it may change while running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from vilp_ros.sim import TASKS

MAX_INT = 2**31 - 1
Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One declared parameter; units are in the name (`_s`, `_hz`, `_m`)."""

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    read_only: bool = True


CONTRACT = Parameter(
    "contract",
    "sim_panda",
    "Robot contract: a YAML file, or the name of one in config/robots",
)
MODEL = Parameter("model", "ldp_lift", "Policy bundle: a folder, or the name of one in models")
AUTOSTART = Parameter("autostart", True, "Configure and activate without being asked")
DEVICE = Parameter("device", "auto", "Where the policy runs: auto, cpu, cuda, cuda:1 ...")
ENGINE = Parameter("engine", "", "Inference engine: torch, openvino, compile; empty: the bundle's")
SPEED = Parameter(
    "speed",
    1.0,
    "Simulated seconds per second, for a computer too slow for real time; below 1: use_sim_time",
    0.01,
    1.0,
)
THREADS = Parameter("threads", 1, "CPU threads of the inference engine", 1, 64)

SIM = (
    CONTRACT,
    MODEL,
    SPEED,
    Parameter("task", "", f"one of {', '.join(TASKS)}; empty: the task of the model"),
    Parameter("seed", 700_000, "Seed of the next reset", 0, MAX_INT, read_only=False),
    Parameter(
        "variation",
        "none",
        "How the scene looks: none, a scene of `vilp eval transfer`, or FAMILY@STRENGTH, drawn for "
        "each seed anew (train@1: as training draws it)",
    ),
    Parameter("clock_hz", 100.0, "Rate of /clock while use_sim_time is true", 20.0, 1000.0),
    Parameter("expert", "", "Role of the scripted expert that ~/demonstrate starts; empty: none"),
    Parameter("expert_mode", 0, "Which of the task's ways the expert takes", 0, 9, read_only=False),
    Parameter("expert_noise", 0.25, "Share of disturbed steps", 0.0, 0.9, read_only=False),
)
OBSERVATION = (
    CONTRACT,
    SPEED,
    Parameter(
        "slop_s",
        0.0,
        "Largest time between the views of one observation; 0: 25 ms, or half the slowest's period",
        0.0,
        1.0,
    ),
)
PLANNER = (
    CONTRACT,
    MODEL,
    AUTOSTART,
    DEVICE,
    ENGINE,
    THREADS,
    SPEED,
    Parameter("sampler_steps", 0, "Denoising steps of a plan; 0: the bundle's choice", 0, 1000),
    Parameter("plan_rate_hz", 0.0, "Most plans a second; 0: as fast as it can", 0.0, 1000.0, False),
    Parameter("noise_seed", 0, "Sampling noise of the first episode; next: +1", 0, MAX_INT),
    Parameter(
        "preview_rate_hz", 0.0, "Most strips and paths a second; 0: every plan", 0.0, 100.0, False
    ),
    Parameter("samples", 1, "Imaginations per plan; the first is executed, all are drawn", 1, 64),
    Parameter("jpeg", False, "Take the views as JPEG: few packets, of which a network loses fewer"),
)
CONTROLLER = (
    CONTRACT,
    MODEL,
    AUTOSTART,
    DEVICE,
    ENGINE,
    THREADS,
    SPEED,
    Parameter("execute", True, "Publish commands; false does everything but that", read_only=False),
    Parameter("enabled", True, "Accept plans from the start, without a call of ~/enable"),
    Parameter("command_rate_hz", 50.0, "Rate of the commands", 1.0, 1000.0),
    Parameter("n_action_steps", 0, "Actions executed per plan; 0: the bundle's choice", 0, 1000),
    Parameter("crossfade_s", 0.1, "Blend from the old plan to the new", 0.0, 2.0),
    Parameter("fade_in_s", 1.0, "Blend from rest to the first plan", 0.0, 10.0),
    Parameter("slow_s", 0.2, "A plan that nobody renews comes to its stop in this time", 0.0, 2.0),
    Parameter(
        "time_limit_s",
        0.0,
        "From ~/enable until it holds, and takes no plans, by itself; 0: no limit",
        0.0,
        86_400.0,
        read_only=False,
    ),
    Parameter("noise_seed", 0, "Sampling noise of the inverse dynamics", 0, MAX_INT),
)
RECORDER = (
    CONTRACT,
    Parameter("model", "", "Policy bundle in use, whose hash each bag notes; empty: none"),
    AUTOSTART,
    Parameter("record", "demonstrations", "Folder of the bags"),
    Parameter("task", "", "Task, noted in each bag", read_only=False),
    Parameter("role", "expert", "Role, noted in each bag", read_only=False),
    Parameter("seed", -1, "Seed of the scene, noted in each bag", -1, MAX_INT, read_only=False),
    Parameter("note", "", "Anything else, noted in each bag", read_only=False),
    Parameter("further_topics", "", "Topics to record beside ours, between spaces"),
    Parameter("compress", False, "Compress with zstd"),
    Parameter("ring_s", 0.0, "While idle, keep this much for ~/save; 0: nothing", 0.0, 600.0),
    Parameter(
        "queue_mb",
        256,
        "Messages that may wait in memory for the disk, MB; beyond it the episode fails. Two views "
        "of 640x480 at 30 Hz are 55 MB/s, so the disk may stand still for 4 s",
        1,
        100_000,
    ),
    Parameter("min_free_mb", 1000, "Free space below which nothing is recorded", 0, MAX_INT),
)
FRANKA_DRIVER = (
    CONTRACT,
    Parameter("robot_ip", "172.16.0.2", "Address of the control box, as set in Desk"),
    Parameter("enabled", True, "Follow trajectories from the start; false: wait for ~/enable"),
    Parameter("realtime", True, "Refuse a kernel that is not real-time; false: for simulators"),
    Parameter("fade_in_s", 1.0, "Blend from rest to the first trajectory", 0.0, 10.0),
    Parameter("bridge_s", 0.2, "From the end of a trajectory to a stop", 0.05, 1.0),
    Parameter("collision_torque_nm", 40.0, "A joint stops above it, with a reflex", 1.0, 100.0),
    Parameter("collision_force_n", 40.0, "The hand stops above it, with a reflex", 1.0, 100.0),
    Parameter("grasp_force_n", 20.0, "Of the gripper when it closes", 1.0, 70.0),
)
TELEOP = (
    CONTRACT,
    Parameter("device", "keyboard", "keyboard, gamepad or spacemouse"),
    Parameter("device_path", "", "Device file; empty: the usual one"),
    Parameter("linear_speed", 0.2, "m/s at full deflection", 0.0, 1.0),
    Parameter("angular_speed", 0.8, "rad/s at full deflection", 0.0, 2.0),
    Parameter("command_rate_hz", 50.0, "Rate of the commands", 1.0, 500.0),
)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        name=parameter.name, description=parameter.description, read_only=parameter.read_only
    )
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, int):
            span = IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))
            descriptor.integer_range = [span]
        else:
            limits = FloatingPointRange(from_value=parameter.low, to_value=parameter.high)
            descriptor.floating_point_range = [limits]
    return descriptor


def declare(node: Node, table: Sequence[Parameter]) -> SimpleNamespace:
    """Declare a table on a node.

    Returns:
        The values found, as attributes; those that may change while running must be read from the
        node again.
    """
    return SimpleNamespace(
        **{p.name: node.declare_parameter(p.name, p.default, _descriptor(p)).value for p in table}
    )
