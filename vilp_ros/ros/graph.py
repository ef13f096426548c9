"""The node table as data: `vilp up` starts it as processes, the launch file as launch_ros actions.

Needs neither rclpy nor launch, so both show the same arguments wherever they run.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from vilp_ros.contract import Contract
from vilp_ros.errors import VilpError
from vilp_ros.ros.files import find, find_contract, find_model
from vilp_ros.sim import TASKS

BOOL = ("true", "false")
RESPAWN_DELAY_S = 1.0


@dataclass(frozen=True)
class Argument:
    """One launch argument: text, as both front ends take it; its kind is that of `default`."""

    name: str
    default: bool | int | float | str
    description: str
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The default as it is typed."""
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def parse(self, text: str) -> bool | int | float | str:
        """Value of what was typed.

        Raises:
            VilpError: It is of another kind, or none of the choices.
        """
        boolean = isinstance(self.default, bool)
        choices, text = (BOOL, text.lower()) if boolean else (self.choices, text)
        if choices and text not in choices:
            named = ", ".join(filter(None, choices))
            raise VilpError(f"{self.name}:={text}: choose from {named}")
        if boolean:
            return text == "true"
        try:
            return type(self.default)(text)
        except ValueError:
            kind = "a whole number" if isinstance(self.default, int) else "a number"
            raise VilpError(f"{self.name}:={text}: expected {kind}") from None


ARGUMENTS = (
    Argument("namespace", "", "Prefix of every node and topic name (only /clock stays)"),
    Argument("model", "ldp_lift", "Policy bundle: a folder, or a name in models/"),
    Argument("contract", "sim_panda", "Robot contract: a file, or a name in config/robots/"),
    Argument(
        "on",
        "",
        "Start what belongs to this host only: planner, or robot (all but the planner); empty: all",
        ("", "planner", "robot"),
    ),
    Argument(
        "jpeg",
        "",
        "Views go to the planner as JPEG; empty: where it has a host of its own",
        ("", *BOOL),
    ),
    Argument("sim", True, "Start the simulated arm; false: other nodes serve the contract"),
    Argument("driver", False, "Start franka_driver, for a contract such as fr3_direct"),
    Argument("robot_ip", "172.16.0.2", "Address of the arm's control box, for franka_driver"),
    Argument("realtime", True, "Let franka_driver refuse a kernel that is not real-time"),
    Argument("task", "", "Task to simulate; empty: the model's own", ("", *TASKS)),
    Argument("seed", 700_000, "Seed of the simulated scene"),
    Argument(
        "variation",
        "",
        "How the simulated scene looks: a scene of `vilp eval transfer`, or FAMILY@STRENGTH, such "
        "as train@1, drawn for each seed; empty: as usual",
    ),
    Argument("execute", True, "Send commands; false: shadow mode, everything runs but the arm"),
    Argument("enabled", True, "Execute plans from the start; false: wait for controller/enable"),
    Argument("device", "auto", "Where the policy runs: auto (CUDA where there is one), cpu, cuda"),
    Argument("engine", "", "Inference engine: torch, openvino, compile; empty: the bundle's"),
    Argument("autostart", True, "Configure and activate planner and controller"),
    Argument("params_file", "franka_lift", "Node parameters: a file, or a name in config/nodes/"),
    Argument("use_sim_time", False, "Time from the simulator's /clock instead of the system clock"),
    Argument(
        "speed",
        1.0,
        "Simulated seconds per second: below 1 for a computer too slow for real time; time is then "
        "the simulator's",
    ),
    Argument("use_rviz", False, "Start rviz2 beside the nodes"),
    Argument("rviz_config", "franka_lift", "What rviz2 shows: a file, or a name in rviz/"),
    Argument("urdf", "", "URDF of the arm: robot_state_publisher turns it, for rviz2; empty: none"),
    Argument("record", "", "Start the recorder: its bags go into this folder; empty: do not"),
    Argument("expert", "", "Role of a scripted expert in the simulator; empty: none"),
    Argument("use_respawn", False, "Start a node again when it dies, instead of ending all"),
    Argument(
        "log_level",
        "info",
        "Least severity that the nodes log",
        ("debug", "info", "warn", "error", "fatal"),
    ),
)


@dataclass(frozen=True)
class NodeEntry:
    """One node of this package.

    Attributes:
        name: Node name, relative to the namespace.
        executable: Installed script; its module is `vilp_ros.nodes.<name>`.
        parameters: Arguments that become parameters of the same name.
        condition: Argument that must be true; empty: always started.
        remappings: (from, to), relative names.
        required: Whether the others end with it.
        host: Where it runs when planner and robot have a host each.
    """

    name: str
    executable: str
    parameters: tuple[str, ...]
    condition: str = ""
    remappings: tuple[tuple[str, str], ...] = ()
    required: bool = True
    host: str = "robot"


_POLICY = ("contract", "model", "device", "engine", "autostart", "use_sim_time", "speed")
NODES = (
    NodeEntry(
        "sim",
        "sim_node",
        ("contract", "model", "task", "seed", "variation", "use_sim_time", "speed", "expert"),
        condition="sim",
    ),
    NodeEntry(
        "franka_driver",
        "franka_driver_node",
        ("contract", "robot_ip", "realtime", "use_sim_time"),
        condition="driver",
    ),
    NodeEntry("observation", "observation_node", ("contract", "use_sim_time", "speed")),
    NodeEntry("planner", "planner_node", (*_POLICY, "jpeg"), host="planner"),
    NodeEntry("controller", "controller_node", (*_POLICY, "execute", "enabled")),
    NodeEntry(
        "recorder",
        "recorder_node",
        ("contract", "model", "autostart", "use_sim_time", "record"),
        condition="record",
        required=False,
    ),
)


@dataclass(frozen=True)
class Process:
    """One process to start, everything resolved.

    Attributes:
        name: As the user reads it.
        command: Complete, for a machine without launch.
        required: Whether the others are useless without it.
        node: The table's entry; None for a program of ROS 2 itself.
        namespace: Of the node.
        parameters: Of the node, beside `params_file`.
        params_file: Parameter file.
        log_level: `LOGGER:=LEVEL` of the node: at `debug` the middleware would drown it.
    """

    name: str
    command: tuple[str, ...]
    required: bool = True
    node: NodeEntry | None = None
    namespace: str = ""
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    params_file: str = ""
    log_level: str = ""


def parse(words: Iterable[str]) -> dict[str, str]:
    """Arguments of a command line: `NAME:=VALUE`, as `ros2 launch` takes them.

    Raises:
        VilpError: A word is not of that form, or no argument has that name.
    """
    known = [argument.name for argument in ARGUMENTS]
    given = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator:
            raise VilpError(f"'{word}' is not NAME:=VALUE, such as model:=ldp_lift")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise VilpError(f"no argument {name}; {hint}")
        given[name] = value
    return given


def processes(given: Mapping[str, str]) -> list[Process]:
    """The processes that these arguments ask for; files are found and checked now.

    Args:
        given: Text by argument name; the rest take their defaults.

    Raises:
        VilpError: A value is of the wrong kind, names a file that does not exist, or the contract
            is none.
    """
    values = _values(given)
    values["contract"] = str(find_contract(str(values["contract"])))
    contract = Contract.load(str(values["contract"]))
    values["model"] = str(find_model(str(values["model"]))) if values["model"] else ""
    values["params_file"] = str(find(str(values["params_file"]), "config/nodes", ".yaml"))
    values["rviz_config"] = str(find(str(values["rviz_config"]), "rviz", ".rviz"))
    values["namespace"] = "/".join(part for part in str(values["namespace"]).split("/") if part)
    values["use_sim_time"] |= _speed(values) < 1.0
    values["jpeg"] = (values["jpeg"] or BOOL[values["on"] != "planner"]) == "true"
    here = [entry for entry in NODES if values["on"] in ("", entry.host)]
    started = [_node(entry, values) for entry in here if values.get(entry.condition, True)]
    if values["use_rviz"]:
        started.append(_rviz(values, contract))
    if values["urdf"]:
        started.append(_robot_model(values, contract))
    return started


def respawns(given: Mapping[str, str]) -> bool:
    """Whether these arguments ask for nodes that come back when they die."""
    return bool(_values(given)["use_respawn"])


def _values(given: Mapping[str, str]) -> dict[str, bool | int | float | str]:
    return {a.name: a.parse(given.get(a.name, a.text)) for a in ARGUMENTS}


def _speed(values: Mapping[str, bool | int | float | str]) -> float:
    speed = float(values["speed"])
    if not 0.01 <= speed <= 1.0:  # NaN is refused too
        raise VilpError(f"speed:={values['speed']}: expected 0.01 to 1, as 0.5 for half as fast")
    if speed < 1.0 and not values["sim"]:
        raise VilpError(f"speed:={speed:g}: only a simulation can be slowed; leave out sim:=false")
    return speed


def _node(entry: NodeEntry, values: Mapping[str, bool | int | float | str]) -> Process:
    # An empty text means "nothing said": the parameter file, or the node's default, decides.
    parameters = {name: values[name] for name in entry.parameters if values[name] != ""}
    namespace, params_file = str(values["namespace"]), str(values["params_file"])
    logger = ".".join(filter(None, (*namespace.split("/"), entry.name)))
    level = f"{logger}:={values['log_level']}"
    words = ["-r", f"__node:={entry.name}", "--params-file", params_file, "--log-level", level]
    words += ["-r", f"__ns:=/{namespace}"] if namespace else []
    for source, target in entry.remappings:
        words += ["-r", f"{source}:={target}"]
    for name, value in parameters.items():
        words += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
    command = (sys.executable, "-m", "vilp_ros.nodes", entry.name, "--ros-args", *words)
    return Process(
        entry.name,
        command,
        required=entry.required,
        node=entry,
        namespace=namespace,
        parameters=parameters,
        params_file=params_file,
        log_level=level,
    )


def _rviz(values: Mapping[str, bool | int | float | str], contract: Contract) -> Process:
    words = ["--display-config", str(values["rviz_config"]), "--fixed-frame", contract.base_frame]
    if values["namespace"]:
        words += ["--ros-args", "-r", f"__ns:=/{values['namespace']}"]
    return Process("rviz", ("rviz2", *words), required=False)


def _robot_model(values: Mapping[str, bool | int | float | str], contract: Contract) -> Process:
    """Publishes tf of the arm's links and `robot_description`: a program of ROS 2 itself.

    Raises:
        VilpError: no such URDF, or it knows none of the contract's joints.
    """
    urdf = Path(str(values["urdf"])).expanduser()
    joints = contract.proprio.joint_names
    try:
        known = {joint.get("name") for joint in ElementTree.parse(urdf).iter("joint")}
    except (OSError, ElementTree.ParseError) as error:
        raise VilpError(
            f"urdf:={urdf}: {error}; expected a URDF, as xacro writes it from a description"
        ) from error
    if missing := [joint for joint in joints if joint not in known]:
        raise VilpError(f"{urdf} has no joint {missing[0]}, which the contract has: another arm's?")
    program = ("ros2", "run", "robot_state_publisher", "robot_state_publisher")
    # As an argument, not as a parameter: the text of a URDF is no YAML.
    words = [str(urdf.resolve()), "--ros-args"]
    words += ["-r", f"joint_states:={contract.proprio.joint_state_topic}"]
    if values["namespace"]:
        words += ["-r", f"__ns:=/{values['namespace']}"]
    return Process("robot_model", (*program, *words), required=False)


def topics(contract: Contract, namespace: str = "") -> list[str]:
    """Absolute names of what is worth recording: what came in, what was planned, what was sent."""
    views, proprio, action = contract.views.values(), contract.proprio, contract.action
    names = [name for view in views for name in (view.topic, view.info_topic)]
    names += [proprio.joint_state_topic, proprio.ee_pose_topic or "", proprio.gripper_topic]
    names += [action.pose_topic or "", action.joint_topic or "", action.width_topic]
    names += ["observation/state", "planner/plan", "planner/plan_path"]
    names += ["controller/command_source", "commander", "sim/status", "diagnostics"]
    prefix = f"/{namespace}/" if namespace else "/"
    named = [name if name.startswith("/") else prefix + name for name in names if name]
    return list(dict.fromkeys(named))
