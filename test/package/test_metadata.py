"""package.xml, setup.py, the locks and the imports of the code say the same."""

import ast
import functools
import re
import sys
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vilp_ros

ROOT = Path(__file__).parents[2]
MANIFEST = ET.parse(ROOT / "package.xml").getroot()
EXEC_DEPENDS = {element.text for element in MANIFEST.findall("exec_depend")}

# Keys of rosdep that are not python3-<name on PyPI>.
ROSDEP = {
    "opencv-python": "python3-opencv",
    "pillow": "python3-pil",
    "pyyaml": "python3-yaml",
    "tensorboard": "python3-tensorboard-pip",
    "torch": "python3-pytorch-pip",
}
OPTIONAL = {"rerun", "rerun_cli", "pinocchio", "matplotlib", "ray"}  # of extras: view, urdf, ...


@pytest.fixture(scope="module")
def distribution():
    """What setup.py tells setuptools."""
    from setuptools import Distribution  # noqa: F401  (puts its distutils in place)
    from distutils.core import run_setup  # isort: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return run_setup("setup.py", stop_after="init")


def imported(folder: str) -> set[str]:
    """Top-level modules that the code below `folder` imports from elsewhere."""
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module)
    found = {name.split(".")[0] for name in names}
    return found - set(sys.stdlib_module_names) - {"vilp_ros"} - OPTIONAL


packages_distributions = functools.cache(metadata.packages_distributions)


def distributions_of(module: str) -> list[str]:
    """What brings a module; an extension without a package around it is only found by its name."""
    if found := packages_distributions().get(module):
        return found
    try:
        return [metadata.distribution(module).name]
    except metadata.PackageNotFoundError:
        return []


def is_ros(module: str) -> bool:
    distributions = distributions_of(module)
    return any(name.startswith("ros-") for name in distributions) or not distributions


def locked(name: str) -> dict[str, str]:
    """Versions by distribution; refuses lines that do not pin."""
    lines = (ROOT / name).read_text().splitlines()
    pins = {}
    for line in lines:
        if not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            if requirement.marker is None or requirement.marker.evaluate():
                pins[canonicalize_name(requirement.name)] = specifier.version
    return pins


def test_one_version(distribution):
    assert MANIFEST.findtext("version") == distribution.get_version() == vilp_ros.__version__


def test_format_licence_and_build_type():
    assert MANIFEST.get("format") == "3"
    assert MANIFEST.findtext("license") == "Apache-2.0"
    assert MANIFEST.findtext("export/build_type") == "ament_python"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert (ROOT / "resource" / MANIFEST.findtext("name")).is_file()


def test_every_ros_package_is_an_exec_depend():
    used = {module for folder in ("vilp_ros", "launch") for module in imported(folder)}
    # Of franka_ros2 and ros2_control, which are no dependencies of a simulated arm.
    optional = {"control_msgs", "franka_msgs"}
    assert {module for module in used if is_ros(module)} <= EXEC_DEPENDS | optional


def test_every_other_import_is_required(distribution):
    required = {canonicalize_name(Requirement(line).name) for line in distribution.install_requires}
    extras = ("franka",)  # what only a Franka needs
    required |= {
        canonicalize_name(Requirement(line).name)
        for extra in extras
        for line in distribution.extras_require[extra]
    }
    required.add("cv-bridge")  # extra `ros`; with ROS 2 it comes from apt
    required |= {"av", "pyarrow"}  # extra `lerobot`; imported where that format is asked for
    for module in imported("vilp_ros"):
        if not is_ros(module):
            names = {canonicalize_name(name) for name in distributions_of(module)}
            assert names & required, f"{module} is imported and not in install_requires"


def test_what_is_required_is_imported(distribution):
    imports = {name for module in imported("vilp_ros") for name in distributions_of(module)}
    required = {canonicalize_name(Requirement(line).name) for line in distribution.install_requires}
    # torch.utils.tensorboard imports it on our behalf; setuptools builds the package.
    unused = required - {canonicalize_name(name) for name in imports}
    assert unused == {"tensorboard", "setuptools"}


def test_what_is_required_is_in_the_manifest(distribution):
    """As a key of rosdep, or in the comment that says what rosdep lacks."""
    (comment,) = re.findall(r"<!--\s*Not in rosdep.*?-->", (ROOT / "package.xml").read_text(), re.S)
    missing = [
        name
        for name in (Requirement(line).name for line in distribution.install_requires)
        if ROSDEP.get(name, f"python3-{name}") not in EXEC_DEPENDS
        and name not in comment.split()
        and name != "setuptools"
    ]
    assert not missing


def test_no_requirement_bears_a_name_that_others_may_claim(distribution):
    """`pip install rclpy` would run whatever a stranger uploads under that name."""
    lines = [*distribution.install_requires, *distribution.extras_require["ros"]]
    names = {Requirement(line).name for line in lines} | set(locked("requirements.lock"))
    ros = {canonicalize_name(name) for name in EXEC_DEPENDS if not name.startswith("python3-")}
    assert names & ros <= {"cv-bridge"}


def test_the_locks_hold_what_setup_asks_for(distribution):
    run, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert not set(run) & set(dev)
    wanted = [*distribution.install_requires, *distribution.extras_require["ros"]]
    for pins, lines in (run, wanted), (run | dev, distribution.extras_require["dev"]):
        for line in lines:
            requirement = Requirement(line)
            version = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{line}: the lock has {version}"


def test_the_lock_needs_no_compiler_and_one_opencv():
    names = set(locked("requirements.lock"))
    assert not names & {"evdev", "opencv-python-headless", "torchvision"}
