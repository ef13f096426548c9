import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from vilp_ros.errors import VilpError
from vilp_ros.ros.graph import Process
from vilp_ros.ros.supervisor import SUPERVISOR, Supervisor

WAIT_S = 60.0
POLITE = """
import signal, threading
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())
print("ready", flush=True)
stop.wait()
print("bye")
"""
STUBBORN = """
import signal, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
threading.Event().wait()
"""


def process(name, code, required=True):
    return Process(name, (sys.executable, "-c", code), required=required)


class Lines:
    """Collects lines; `wait_for(text)` returns when one contains it."""

    def __init__(self):
        self.lines, self._news = [], threading.Condition()

    def __call__(self, line):
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def wait_for(self, text, count=1):
        def found():
            return sum(text in line for line in self.lines) >= count

        with self._news:
            assert self._news.wait_for(found, WAIT_S), self.lines


def test_lines_carry_their_name_and_a_clean_end_is_zero():
    lines, stop = Lines(), threading.Event()
    table = [process("a", POLITE), process("b", POLITE)]
    with Supervisor(table, write=lines) as supervisor:
        lines.wait_for("[a] ready")
        lines.wait_for("[b] ready")
        stop.set()
        assert supervisor.wait(stop) == 0
    assert "[a] bye\n" in lines.lines
    assert "[b] bye\n" in lines.lines


@pytest.mark.parametrize(
    ("code", "expected", "text"),
    [
        ("raise SystemExit(7)", 7, "[bad] ended by itself: exit code 7"),
        ("import os; os.kill(os.getpid(), 9)", 137, "[bad] ended by itself: killed by SIGKILL"),
        ("pass", 1, "[bad] ended by itself: exit code 0"),
    ],
)
def test_a_death_is_named_and_ends_the_others(code, expected, text):
    lines = Lines()
    with Supervisor([process("good", POLITE), process("bad", code)], write=lines) as supervisor:
        assert supervisor.wait(threading.Event()) == expected
    assert any(text in line for line in lines.lines)
    # The good one was ended, however far it had come.
    assert supervisor._children["good"].poll() is not None


def test_a_viewer_may_end_by_itself():
    lines, stop = Lines(), threading.Event()
    table = [process("node", POLITE), process("viewer", "pass", required=False)]
    with Supervisor(table, write=lines) as supervisor:
        waiter = threading.Thread(target=supervisor.wait, args=(stop,))
        waiter.start()
        lines.wait_for("[viewer] ended by itself")
        lines.wait_for("[node] ready")
        assert waiter.is_alive()
        stop.set()
        waiter.join(WAIT_S)


def test_respawn_starts_it_again():
    lines, stop = Lines(), threading.Event()
    with Supervisor([process("a", POLITE)], respawn=True, write=lines) as supervisor:
        codes = []
        waiter = threading.Thread(target=lambda: codes.append(supervisor.wait(stop)))
        waiter.start()
        lines.wait_for("[a] ready")
        supervisor.signal("a", signal.SIGKILL)
        lines.wait_for("[a] ready", count=2)
        stop.set()
        waiter.join(WAIT_S)
    assert codes == [0]


def test_whoever_ignores_the_request_is_killed_and_the_exit_code_tells(monkeypatch):
    short = ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, WAIT_S))
    monkeypatch.setattr("vilp_ros.ros.supervisor._PATIENCE_S", short)
    lines, stop = Lines(), threading.Event()
    with Supervisor([process("deaf", STUBBORN)], write=lines) as supervisor:
        lines.wait_for("[deaf] ready")
        stop.set()
        assert supervisor.wait(stop) == 1
    assert "[deaf] did not end cleanly: killed by SIGKILL\n" in lines.lines


def test_a_missing_program_is_named_and_nothing_is_left_running():
    lines = Lines()
    table = [process("a", POLITE), Process("rviz", ("no-such-rviz2",), required=False)]
    supervisor = Supervisor(table, write=lines)
    with pytest.raises(VilpError, match="rviz: no program 'no-such-rviz2'"), supervisor:
        pass
    assert supervisor._children["a"].poll() is not None


def test_a_node_does_not_outlive_its_supervisor(tmp_path):
    """The supervisor is killed; its child, in a session of its own, ends by itself."""
    marker = tmp_path / "ended"
    child = f"""
import os, threading
from vilp_ros.ros import process
print(os.getpid(), flush=True)
while not process._orphaned():
    threading.Event().wait(0.01)
open({str(marker)!r}, "w").close()
"""
    parent = f"""
import sys, threading
from vilp_ros.ros.graph import Process
from vilp_ros.ros.supervisor import Supervisor
command = (sys.executable, "-c", {child!r})
with Supervisor([Process("child", command)], write=lambda l: print(l, end="", flush=True)) as s:
    s.wait(threading.Event())
"""
    killed = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(killed.stdout.readline().split()[-1])
    child_fd = os.pidfd_open(pid)
    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert select.select([child_fd], [], [], WAIT_S)[0], "the child goes on"
    os.close(child_fd)
    assert marker.exists()
    assert SUPERVISOR not in os.environ
