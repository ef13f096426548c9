"""How the nodes end, and what they say when they cannot begin: real processes."""

import os
import signal
import subprocess
import sys

import pytest
from interrupt import interrupted
from rcl_interfaces.srv import GetParameters
from ros_rig import Probe

from vilp_ros.errors import VilpError
from vilp_ros.ros.supervisor import Supervisor

NOISE = ("Traceback", "terminate called", "Aborted", "Exception", "Error", "FATAL")
NODES = ("sim", "observation", "planner", "controller")


def ends_with(supervisor: Supervisor, name: str) -> int:
    return supervisor._children[name].wait(60)


@pytest.mark.parametrize("impatient", [False, True])
def test_ctrl_c_ends_every_node_with_zero_and_in_silence(start, probe, impatient):
    """A terminal sends SIGINT once, launch twice, and some people until it is over."""
    probe.reports.clear()
    supervisor, lines = start()
    with supervisor:
        up = {"sim": "", "observation": "observing", "planner": "planning", "controller": ""}
        probe.spin_until(
            lambda: all(probe.says(name, text) for name, text in up.items()), "every node"
        )
        for name in NODES:
            supervisor.signal(name, signal.SIGINT)
            while impatient and supervisor._children[name].poll() is None:
                supervisor.signal(name, signal.SIGINT)
        assert {name: ends_with(supervisor, name) for name in NODES} == dict.fromkeys(NODES, 0)

    def left() -> set[str]:
        topics = {name for name, _ in probe.node.get_topic_names_and_types()}
        return {t for t in topics for name in NODES if t.startswith(f"/{name}/")}

    # A participant that dies without a word is believed alive for 20 s.
    probe.spin_until(lambda: not left(), "their topics to go with them", timeout_s=10)
    assert not [line for line in lines if any(word in line for word in NOISE)], lines


@pytest.mark.parametrize("module", ["numpy", "rclpy", "sensor_msgs", "vilp_ros.ros.process"])
def test_ctrl_c_ends_a_node_that_is_still_imported(domain, module):
    code, said = interrupted(["-m", "vilp_ros.nodes", "observation"], module)
    assert code == 0
    assert not [line for line in said if any(word in line for word in NOISE)]


def test_ctrl_c_ends_nodes_that_are_still_loading(start, probe):
    probe.reports.clear()
    supervisor, lines = start(only=("sim", "planner"))
    with supervisor:
        # By their logs: diagnostics of a node that was found late may come when it is over.
        for name, word in (("sim", "building"), ("planner", "configure ...")):
            probe.spin_until(
                lambda word=word: any(word in line for line in lines), f"{name} to load"
            )
            supervisor.signal(name, signal.SIGINT)
            supervisor.signal(name, signal.SIGINT)
            assert ends_with(supervisor, name) == 0
    assert not [line for line in lines if any(word in line for word in NOISE)], lines


@pytest.mark.parametrize(
    ("name", "contract_edit", "message"),
    [
        ("planner", ("eye_in_hand", "wrist"), "bundle expects views"),
        ("controller", ("control_period_s: 0.05", "control_period_s: 0.1"), "control_period_s"),
        ("sim", ("control_period_s: 0.05", "control_period_s: 0.1"), "the simulator runs at 0.05"),
    ],
)
def test_a_node_that_cannot_begin_says_why_and_ends_with_2(
    start, tmp_path, name, contract_edit, message
):
    from vilp_ros.ros.files import find_contract

    edited = tmp_path / "edited.yaml"
    edited.write_text(find_contract("sim_panda").read_text().replace(*contract_edit))
    supervisor, lines = start(f"contract:={edited}", only=(name,))
    with supervisor:
        assert ends_with(supervisor, name) == 2
    assert any(message in line for line in lines), lines
    assert not any("Traceback" in line for line in lines)


def test_what_is_wrong_is_said_before_anything_starts(start, tmp_path):
    from vilp_ros.ros.files import find_contract

    with pytest.raises(VilpError, match="task:=juggle: choose from arrange_blocks, can, hanoi"):
        start("task:=juggle")
    edited = tmp_path / "edited.yaml"
    edited.write_text(
        find_contract("sim_panda").read_text().replace("robot: sim_panda", "robot: 1")
    )
    with pytest.raises(VilpError, match="robot: found 1, allowed: a name"):
        start(f"contract:={edited}")


@pytest.mark.parametrize("namespace", ["", "left/arm"])
def test_the_parameter_file_reaches_its_nodes_in_any_namespace(start, domain, tmp_path, namespace):
    params = tmp_path / "params.yaml"
    params.write_text("/**/observation:\n  ros__parameters:\n    slop_s: 0.0125\n")
    supervisor, _ = start(
        f"params_file:={params}", f"namespace:={namespace}", only=("observation",)
    )
    probe = Probe(domain, namespace)
    with supervisor:
        answer = probe.call(GetParameters, "observation/get_parameters", names=["slop_s"])
    probe.close()
    assert answer.values[0].double_value == 0.0125


def test_torch_is_loaded_only_to_plan_and_ros_only_to_speak():
    """What a process needs decides how soon it starts and how much memory it holds."""
    code = """
import sys
import vilp_ros.ros.graph, vilp_ros.ros.supervisor
assert "rclpy" not in sys.modules
import vilp_ros.nodes.sim, vilp_ros.nodes.observation, vilp_ros.nodes.planner
import vilp_ros.nodes.controller
assert "torch" not in sys.modules and "robosuite" not in sys.modules
import os
assert os.environ["OMP_NUM_THREADS"] == "1"
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
