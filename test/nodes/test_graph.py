from pathlib import Path

import pytest
import yaml

from vilp_ros.contract import Contract
from vilp_ros.errors import VilpError
from vilp_ros.ros import graph, parameters
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import ARGUMENTS, NODES, parse, processes
from vilp_ros.share import share_dir

TABLES = {
    "sim": parameters.SIM,
    "franka_driver": parameters.FRANKA_DRIVER,
    "observation": parameters.OBSERVATION,
    "planner": parameters.PLANNER,
    "controller": parameters.CONTROLLER,
    "recorder": parameters.RECORDER,
}


@pytest.fixture
def given(tmp_path):
    (tmp_path / "bundle").mkdir()
    return lambda *words: parse([f"model:={tmp_path / 'bundle'}", *words])


def started(given) -> dict[str, graph.Process]:
    return {process.name: process for process in processes(given)}


def test_arguments_explain_themselves():
    assert len({a.name for a in ARGUMENTS}) == len(ARGUMENTS)
    for argument in ARGUMENTS:
        assert len(argument.description) > 15
        assert argument.parse(argument.text) == argument.default


def test_every_parameter_that_an_argument_sets_is_declared_by_its_node():
    names = {a.name for a in ARGUMENTS}
    for entry in NODES:
        declared = {p.name for p in TABLES[entry.name]} | {"use_sim_time"}
        assert set(entry.parameters) <= declared & names
        assert entry.condition in names | {""}


def test_the_parameter_file_knows_only_declared_parameters_in_their_ranges():
    for path in (share_dir() / "config/nodes").glob("*.yaml"):
        sections = yaml.safe_load(path.read_text())
        assert set(sections) == {f"/**/{entry.name}" for entry in NODES}
        for name, section in sections.items():
            table = {p.name: p for p in TABLES[name.removeprefix("/**/")]}
            for key, value in section["ros__parameters"].items():
                assert type(value) is type(table[key].default), (name, key)
                assert table[key].low <= value <= table[key].high, (name, key)


def test_every_node_belongs_to_one_of_two_hosts(given):
    words = ("contract:=fr3_direct", "driver:=true", "record:=bags")
    whole = set(started(given(*words)))
    robot, planner = (set(started(given(*words, f"on:={host}"))) for host in ("robot", "planner"))
    assert planner == {"planner"}
    assert robot == whole - planner


def test_views_are_packed_where_a_network_carries_them(given):
    for words, jpeg in (
        ((), False),
        (("on:=planner",), True),
        (("on:=planner", "jpeg:=false"), False),
    ):
        assert started(given(*words))["planner"].parameters["jpeg"] is jpeg


def test_while_the_controller_waits_a_person_can_drive_the_arm(given):
    words = ("contract:=fr3_direct", "sim:=false", "driver:=true", "enabled:=false")
    table = {process.name: process for process in processes(given(*words))}
    assert "enabled:=false" in table["controller"].command
    assert not [word for word in table["franka_driver"].command if word.startswith("enabled")]


def test_the_defaults_start_the_four_nodes(given):
    table = started(given())
    assert list(table) == ["sim", "observation", "planner", "controller"]
    for name, process in table.items():
        assert process.command[1:4] == ("-m", "vilp_ros.nodes", name)
        assert Path(process.params_file).is_file()
    assert not any("__ns" in word for word in table["sim"].command)
    assert "execute:=true" in table["controller"].command
    assert "task" not in table["sim"].parameters  # empty: left to the node


def test_conditions_and_programs_of_ros(given):
    assert "sim" not in started(given("sim:=false"))
    table = started(given("use_rviz:=true", "record:=bag", "namespace:=/left/arm/"))
    assert table["rviz"].command[0] == "rviz2"
    assert not table["rviz"].required
    assert "__ns:=/left/arm" in table["rviz"].command
    assert table["rviz"].command[3:5] == ("--fixed-frame", "panda_link0")
    assert "__ns:=/left/arm" in table["planner"].command
    assert "left.arm.planner:=info" in table["planner"].command
    assert "record:=bag" in table["recorder"].command
    assert not table["recorder"].required
    recorded = graph.topics(Contract.load(find_contract("sim_panda")), "left/arm")
    assert "/left/arm/agentview/image_raw" in recorded
    assert "/left/arm/controller/command_source" in recorded


def test_the_robot_model_turns_by_the_joints_of_the_contract(given, tmp_path):
    urdf = tmp_path / "arm.urdf"
    joints = [f'<joint name="fr3_joint{i}" type="revolute"/>' for i in range(1, 8)]
    urdf.write_text(f'<robot name="fr3"><link name="base"/>{"".join(joints)}</robot>')
    words = ("sim:=false", "contract:=fr3_ros2_control", "namespace:=left", f"urdf:={urdf}")
    process = started(given(*words))["robot_model"]
    assert process.command[:4] == ("ros2", "run", *["robot_state_publisher"] * 2)
    assert process.command[4:6] == (str(urdf), "--ros-args")  # the URDF is the first argument
    source = "joint_states:=franka_robot_state_broadcaster/measured_joint_states"
    assert {source, "__ns:=/left"} <= set(process.command)
    assert not process.required
    with pytest.raises(VilpError, match="has no joint panda_joint1, which the contract has"):
        started(given(f"urdf:={urdf}"))
    urdf.write_text("robot: fr3")
    with pytest.raises(VilpError, match="expected a URDF"):
        started(given(f"urdf:={urdf}"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["urdf:=nowhere.urdf"], r"nowhere.urdf: .*No such file.*expected a URDF"),
        (["modle:=x"], "no argument modle; did you mean model?"),
        (["model=x"], "'model=x' is not NAME:=VALUE"),
        (["execute:=maybe"], "execute:=maybe: choose from true, false"),
        (["seed:=x"], "seed:=x: expected a whole number"),
        (["log_level:=loud"], "log_level:=loud: choose from debug, info"),
        (["model:=nowhere"], "'nowhere' is neither a path nor a name in models"),
        (["contract:=ur5"], r"'ur5' is neither .* there are .*, sim_panda, "),
        (["params_file:=x"], "'x' is neither a path nor a name in config/nodes"),
    ],
)
def test_wrong_words_are_answered(given, words, message):
    with pytest.raises(VilpError, match=message):
        processes({**given(), **parse(words)})
