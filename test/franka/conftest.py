"""A simulated FR3 that trips like a real one, and the driver on it, as processes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import ros_fixtures
from arm_driver import franka_driver

from vilp_ros.ros.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
READY_S = 120.0
_hosts = itertools.count(2)
domain, probe = ros_fixtures.domain, ros_fixtures.probe


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class Server(NamedTuple):
    """franka-sim: its address, and the process (SIGUSR1 jams its fingers)."""

    host: str
    process: subprocess.Popen


@contextmanager
def served(log: Path, **settings: str) -> Iterator[Server]:
    """franka-sim with every limit enforced; libfranka's port is fixed, so each has a loopback
    address of its own.

    Args:
        log: what it says goes there.
        settings: of tools/franka_sim/serve.sh.
    """
    subprocess.run([ROOT / "tools/franka_sim/serve.sh", "setup"], check=True, timeout=600)
    host = f"127.{1 + os.getpid() % 250}.{os.getpid() // 250 % 250}.{next(_hosts)}"
    with log.open("w") as out:
        server = subprocess.Popen(
            [ROOT / "tools/franka_sim/serve.sh", host],
            stdout=out,
            stderr=out,
            env={**os.environ, **settings},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + READY_S
        while True:
            if all(answers(host, port) for port in (1337, 1338)):
                break
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"franka-sim did not start: {log.read_text()}"
            time.sleep(0.2)  # nothing to wait on: a port either answers or not
        yield Server(host, server)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="session")
def franka_server(tmp_path_factory) -> Iterator[Server]:
    """franka-sim, for all tests that need no other."""
    with served(tmp_path_factory.mktemp("franka_sim") / "log") as server:
        yield server


@pytest.fixture
def franka_with_tool(tmp_path, request) -> Iterator[str]:
    """Address of a franka-sim with a tool as long as the test's parameter says, metres."""
    with served(tmp_path / "log", FRANKA_SIM_TOOL=str(request.param)) as server:
        yield server.host


@pytest.fixture(scope="session")
def franka_sim(franka_server) -> str:
    """Its address."""
    return franka_server.host


@pytest.fixture(scope="module")
def driver(franka_sim, domain, probe, tmp_path_factory) -> Iterator[Supervisor]:
    with franka_driver(franka_sim, tmp_path_factory.mktemp("bundle"), probe) as supervisor:
        yield supervisor
