"""Real processes in a ROS domain of their own."""

from __future__ import annotations

import hypothesis
import pytest
import ros_fixtures

from vilp_ros.contract import Contract
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor

# A machine that also trains takes its time over an example.
hypothesis.settings.register_profile("nodes", deadline=None)
hypothesis.settings.load_profile("nodes")

domain, probe = ros_fixtures.domain, ros_fixtures.probe


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract.load(find_contract("sim_panda"))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> str:
    from vilp_ros.policy.bundle import save_untrained

    folder = tmp_path_factory.mktemp("models") / "untrained"
    save_untrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def start(bundle, domain):
    """`start(words...)`: a supervisor of the nodes that these arguments ask for, and its lines."""

    def start(*words: str, only: tuple[str, ...] = ()) -> tuple[Supervisor, list[str]]:
        lines: list[str] = []
        table = processes({"model": bundle, **parse(words)})
        chosen = [p for p in table if not only or p.name in only]
        return Supervisor(chosen, write=lines.append), lines

    return start
