"""README.md names what exists, all of it."""

import re
from pathlib import Path

import pytest

from vilp_ros.cli.main import VERBS
from vilp_ros.ros import parameters
from vilp_ros.ros.graph import ARGUMENTS, NODES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """Text below a heading, to the next of the same level."""
    level, _, _ = title.partition(" ")
    (_, text) = README.split(f"\n{title}", 1)
    return re.split(rf"\n{level} ", text)[0]


@pytest.mark.parametrize("node", [entry.name for entry in NODES])
def test_topics_and_services_of_a_node(node):
    files = [f"nodes/{node}.py"] + (["ros/preview.py"] if node == "planner" else [])
    source = "".join((ROOT / "vilp_ros" / name).read_text() for name in files)
    documented = re.findall(r"`(~/\w+)`", section(f"### {node}"))
    assert set(re.findall(r'"(~/\w+)"', source)) == set(documented)


def test_every_launch_argument():
    named = set(re.findall(r"`(\w+)`", section("## Parameters")))
    assert {argument.name for argument in ARGUMENTS} - named <= {"task", "seed"}


def test_every_node_parameter_with_its_default():
    rows = [line for line in section("## Parameters").splitlines() if line.startswith("| ")]
    launched = {argument.name for argument in ARGUMENTS}
    p = parameters
    for parameter in (*p.SIM, *p.OBSERVATION, *p.PLANNER, *p.CONTROLLER):
        if parameter.name not in launched:
            (row,) = [row for row in rows if f"`{parameter.name}`" in row]
            assert re.search(rf"\b{parameter.default:g}\b", row), row


def test_every_verb():
    assert re.findall(r"^vilp (\w+)", section("## Verbs"), re.M) == list(VERBS)


def test_what_rosdep_lacks_is_in_the_pip_line():
    """But for what only a Franka needs, and docs/franka.md installs."""
    manifest = (ROOT / "package.xml").read_text()
    (comment,) = re.findall(r"Not in rosdep.*?-->", manifest, re.S)
    names = set(re.findall(r"^ {6}((?:[a-z-]+ )+) ", comment, re.M))
    wanted = {name for line in names for name in line.split()} - {"frankik", "franky-control"}
    (given,) = re.findall(r"^pip install (.*)", section("## With ROS 2"), re.M)
    assert {"ruckig", "mujoco"} <= wanted
    assert wanted == set(re.findall(r'(?:^|[ "])([a-z-]+)', given))


def test_files_and_pictures_exist():
    paths = re.findall(r"`((?:config|models|docs)/[\w./]*)`", README)
    paths += re.findall(r"\]\((.*?)\)", README)
    assert not [path for path in paths if not (ROOT / path).exists()]
