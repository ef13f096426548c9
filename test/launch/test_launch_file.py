"""The launch file, with stand-ins for launch and launch_ros, which PyPI does not have."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from vilp_ros.ros.graph import ARGUMENTS, NODES

ROOT = Path(__file__).parents[2]
NAMES = {
    "launch": ("LaunchContext", "LaunchDescription"),
    "launch.action": ("Action",),
    "launch.actions": ("DeclareLaunchArgument", "ExecuteProcess", "OpaqueFunction", "Shutdown"),
    "launch.substitutions": ("LaunchConfiguration",),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
}


class Made:
    """Remembers how it was made."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    def perform(self, context):
        return context[self.args[0]]


@pytest.fixture
def description(monkeypatch):
    for module, names in NAMES.items():
        fake = ModuleType(module)
        for name in names:
            setattr(fake, name, type(name, (Made,), {}))
        monkeypatch.setitem(sys.modules, module, fake)
    path = ROOT / "launch/franka_lift.launch.py"
    spec = importlib.util.spec_from_file_location("franka_lift_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (entities,) = module.generate_launch_description().args
    *declared, function = entities
    return SimpleNamespace(declared=declared, start=function.kwargs["function"])


def values(tmp_path, **changed):
    bundle = tmp_path / "bundle"
    bundle.mkdir(exist_ok=True)
    return {a.name: a.text for a in ARGUMENTS} | {"model": str(bundle)} | changed


def test_every_argument_is_declared_with_default_and_description(description):
    declared = {d.args[0]: d.kwargs for d in description.declared}
    assert list(declared) == [a.name for a in ARGUMENTS]
    for argument in ARGUMENTS:
        assert declared[argument.name]["default_value"] == argument.text
        assert declared[argument.name]["description"] == argument.description


def test_it_starts_the_table(description, tmp_path):
    everything = {"driver": "true", "robot_ip": "127.0.0.1", "record": str(tmp_path / "bags")}
    actions = description.start(values(tmp_path, namespace="left", **everything))
    assert [type(a).__name__ for a in actions] == ["Node"] * len(NODES)
    for entry, action in zip(NODES, actions, strict=True):
        made = action.kwargs
        assert (made["package"], made["executable"]) == ("vilp_ros", entry.executable)
        assert (made["name"], made["namespace"]) == (entry.name, "left")
        path, parameters = made["parameters"]
        assert Path(path).is_file()
        assert set(parameters) <= set(entry.parameters)
        for name, value in parameters.items():
            assert value.kwargs["value_type"] is type(value.args[0]), name
        assert made["ros_arguments"] == ["--log-level", f"left.{entry.name}:=info"]
        assert ("on_exit" in made) == entry.required


def test_conditions_and_respawn(description, tmp_path):
    words = {"sim": "false", "use_rviz": "True", "use_respawn": "true"}
    actions = description.start(values(tmp_path, **words))
    names = [a.kwargs["name"] for a in actions]
    assert names == ["observation", "planner", "controller", "rviz"]
    assert type(actions[-1]).__name__ == "ExecuteProcess"
    # Not even an empty on_exit: launch of Jazzy trips over it when the process ends.
    assert all(a.kwargs["respawn"] and "on_exit" not in a.kwargs for a in actions)


def test_rviz_shows_cameras_strip_and_path_under_any_namespace():
    config = yaml.safe_load((ROOT / "rviz/franka_lift.rviz").read_text())
    displays = config["Visualization Manager"]["Displays"]
    topics = {d["Topic"]["Value"]: d["Class"].split("/")[1] for d in displays if "Topic" in d}
    assert (
        topics.items()
        >= {
            "agentview/image_raw": "Image",
            "eye_in_hand/image_raw": "Image",
            "planner/predicted_frames": "Image",
            "planner/plan_path": "Path",
            "planner/plan_markers": "MarkerArray",
        }.items()
    )
    assert not any(topic.startswith("/") for topic in topics)
