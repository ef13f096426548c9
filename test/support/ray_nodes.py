"""A Ray cluster of two nodes, each on a network namespace of its own: nothing else can reach it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")
PORT = 6379


def ip(*words: str, check: bool = True) -> str:
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True).stdout


def possible() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None or not RAY.is_file():
        return False
    name = f"vilp_try_{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    ip("netns", "del", name, check=False)
    return made


class RayNodes:
    """Node 0 is the head.

    Args:
        cpus: of each node.
    """

    def __init__(self, *cpus: int) -> None:
        number = os.getpid() % 100_000
        self.hosts = [f"vilp_ray{i}_{number}" for i in range(len(cpus))]
        ends = [f"vray{i}_{number}" for i in range(len(cpus))]
        # Short: the path of a socket has room for 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="ray")
        self.env = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, map(str, sys.path))),
        }
        self._started: list[subprocess.Popen] = []
        try:
            self._join(ends)
            for i in range(len(cpus)):
                self.start(i, cpus[i])
        except BaseException:
            self.close()
            raise

    def _join(self, ends: list[str]) -> None:
        for host in self.hosts:
            ip("netns", "add", host)
            ip("-n", host, "link", "set", "lo", "up")
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for i, (host, end) in enumerate(zip(self.hosts, ends)):
            ip("link", "set", end, "netns", host)
            ip("-n", host, "addr", "add", f"{self.address(i)}/24", "dev", end)
            ip("-n", host, "link", "set", end, "up")

    @property
    def head(self) -> str:
        return f"{self.address(0)}:{PORT}"

    def address(self, node: int) -> str:
        return f"10.79.0.{node + 1}"

    def start(self, node: int, cpus: int) -> None:
        words = [f"--address={self.head}"]
        if node == 0:
            words = ["--head", f"--port={PORT}", f"--temp-dir={self._folder.name}"]
            words += ["--include-dashboard=false"]
        words += [f"--node-ip-address={self.address(node)}", f"--num-cpus={cpus}", "--block"]
        words += ["--disable-usage-stats", f"--object-store-memory={200 << 20}"]
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.hosts[node], str(RAY), "start", *words],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        said = ""
        while "will now block" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line

    def on_head(self, *command: str, **options) -> subprocess.Popen:
        """A command on the head's namespace."""
        words = ["ip", "netns", "exec", self.hosts[0], *command]
        return subprocess.Popen(words, env=self.env, text=True, **options)

    def pids(self, node: int) -> list[int]:
        return [int(pid) for pid in ip("netns", "pids", self.hosts[node], check=False).split()]

    def working(self, node: int) -> list[int]:
        """Processes of the node that are at a call."""
        return [pid for pid in self.pids(node) if _title(pid).startswith("ray::_there")]

    def kill(self, node: int) -> None:
        """The whole node, at once."""
        _kill(self.pids(node))

    def close(self) -> None:
        for node, host in enumerate(self.hosts):
            self.kill(node)
            ip("netns", "del", host, check=False)
        for process in self._started:
            process.wait()
            process.stdout.close()
        self._folder.cleanup()


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def read_until(stream, found: Callable[[str], bool]) -> str:
    """What a process has written, up to where `found` is true of all of it."""
    said = ""
    while not found(said):
        part = os.read(stream.fileno(), 4096).decode()
        assert part, said
        said += part
    return said
