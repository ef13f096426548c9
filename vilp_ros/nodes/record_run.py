"""`vilp record`: the recorder in a process of its own, and a terminal that commands it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor, TimeoutException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.status import Status
from std_srvs.srv import Trigger

from vilp_ros.data.bag import Bag
from vilp_ros.data.recording import Library
from vilp_ros.errors import VilpError
from vilp_ros.nodes import qos
from vilp_ros.nodes.demo_run import free_domain
from vilp_ros.nodes.graph import parse, processes
from vilp_ros.nodes.supervisor import Supervisor

KEYS = {
    " ": "start",
    "s": "success",
    "f": "failure",
    "u": "stop",
    "d": "discard",
    "z": "undo",
    "r": "save",
}
HELP_LINE = (
    "space start  s success  f failure  u unlabelled  d discard  z undo  r save ring  q quit"
)
WAIT_S = 90.0
SPIN_S = 0.05
"""Pause between two looks at keyboard and topics."""
EVALUATION_SEEDS = 700_000


@dataclass(frozen=True)
class Settings:
    """What the user asked for; see `vilp record --help`."""

    out: Path
    task: str
    role: str
    model: str
    contract: str
    note: str
    expert: bool
    episodes: int
    seed_start: int
    noise: float
    ring_s: float
    json: Path | None
    words: tuple[str, ...]


class Remote(Node):
    """What the terminal needs of the graph: statuses in, services out."""

    def __init__(self, stop: threading.Event, dead: threading.Event, namespace: str = "") -> None:
        super().__init__("record_terminal", namespace=namespace)
        self._stop, self._dead = stop, dead
        self.recorder: DiagnosticStatus | None = None
        self.sim: dict[str, str] = {}
        self.on_tick: Callable[[], None] = lambda: None
        status = self.create_subscription
        status(DiagnosticStatus, "recorder/status", self._on_recorder, qos.STATE_IN)
        status(DiagnosticStatus, "sim/status", self._on_sim, qos.STATE_IN)

    def value(self, key: str) -> str:
        """A figure of the recorder's last status."""
        values = self.recorder.values if self.recorder else []
        return next((v.value for v in values if v.key == key), "")

    def spin(self, timeout_s: float = SPIN_S) -> None:
        """Takes what came; raises KeyboardInterrupt when it is time to end."""
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._dead.is_set():
            raise VilpError("a node ended by itself; its last lines are above")
        assert self.executor is not None
        with suppress(TimeoutException):
            while True:
                handler, _, _ = self.executor.wait_for_ready_callbacks(timeout_sec=timeout_s)
                handler()
                handler.result()
                timeout_s = 0.0
        self.on_tick()

    def wait(self, condition: Callable[[], object], what: str, limit_s: float = WAIT_S) -> None:
        """Spins until it holds.

        Raises:
            VilpError: it does not, within `limit_s`.
        """
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                raise VilpError(f"waited {limit_s:.0f} s for {what}")
            self.spin()

    def call(self, kind: type, name: str, **fields: Any) -> Any:
        """Answer of a service."""
        client = self.create_client(kind, name)
        try:
            self.wait(client.service_is_ready, f"service {name}")
            future = client.call_async(kind.Request(**fields))
            self.wait(future.done, f"an answer of {name}")
            return future.result()
        finally:
            self.destroy_client(client)

    def trigger(self, name: str) -> tuple[bool, str]:
        """Success and message of a Trigger."""
        answer = self.call(Trigger, name)
        return answer.success, answer.message

    def demand(self, name: str) -> str:
        """Message of a Trigger that must succeed."""
        done, message = self.trigger(name)
        if not done:
            raise VilpError(f"{name}: {message}")
        return message

    def set(self, node: str, **values: int | float | str) -> None:
        """Sets parameters of a node."""
        parameters = [Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        answer = self.call(SetParameters, f"{node}/set_parameters", parameters=parameters)
        for name, result in zip(values, answer.results):
            if not result.successful:
                raise VilpError(f"{node} refuses {name}: {result.reason}")

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self.recorder = message

    def _on_sim(self, message: DiagnosticStatus) -> None:
        self.sim = {v.key: v.value for v in message.values}


def run_record(settings: Settings) -> int:
    """Records until the user quits, or until the expert has shown enough.

    Returns:
        Exit code: 0, or 1 if an episode failed in automatic mode.
    """
    chosen = {
        "model": settings.model,
        "contract": settings.contract,
        "record": str(settings.out),
        "task": settings.task,
        "expert": settings.role if settings.expert else "",
        # A busy machine then makes the demonstrations slow, but not bad.
        "use_sim_time": str(settings.expert).lower(),
    }
    words = parse(settings.words)
    wanted = ("sim", "recorder") if settings.expert else ("recorder",)
    started = [p for p in processes(words | chosen) if p.name in wanted]
    ring = ("-p", f"ring_s:={settings.ring_s}")
    started[-1] = replace(started[-1], command=(*started[-1].command, *ring))
    if settings.expert:  # an arm that is on the same network must not follow it
        os.environ |= {
            "ROS_DOMAIN_ID": str(free_domain()),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        }
    console, stop, dead = Console(), threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def write(line: str) -> None:
        if "ended by itself" in line:
            dead.set()
        if "[INFO]" in line or "[WARN]" in line:
            return  # the live line says it
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True, style="dim")

    with Supervisor(started, write=write) as supervisor:
        ended = threading.Event()
        watcher = threading.Thread(target=supervisor.wait, args=(ended,))
        watcher.start()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = SingleThreadedExecutor()
        remote = Remote(stop, dead, namespace=words.get("namespace", ""))
        executor.add_node(remote)
        try:
            with console.status("starting", refresh_per_second=4) as line:
                remote.wait(lambda: remote.recorder is not None, "the recorder")
                remote.set("recorder", task=settings.task, role=settings.role, note=settings.note)
                if settings.expert:
                    return _conduct(settings, remote, console, line)
                return _listen(remote, console, line)
        except KeyboardInterrupt:
            return 0
        finally:
            ended.set()
            watcher.join()
            executor.remove_node(remote)
            remote.destroy_node()
            executor.shutdown()
            rclpy.shutdown()


def _listen(remote: Remote, console: Console, line: Status) -> int:
    """Keys to services; without a keyboard, only the line."""
    keys = sys.stdin.isatty()
    console.print(HELP_LINE if keys else "no keyboard here: command recorder/start and its like")
    remote.on_tick = lambda: line.update(_live(remote))
    with _cbreak() if keys else nullcontext():
        while True:
            key = _key() if keys else ""
            if key == "q":
                if remote.value("state") == "recording":
                    _say(console, *remote.trigger("recorder/stop"))
                return 0
            if service := KEYS.get(key):
                if service == "start" and remote.value("state") == "recording":
                    service = "stop"
                _say(console, *remote.trigger(f"recorder/{service}"))
            remote.spin()


def _conduct(settings: Settings, remote: Remote, console: Console, line: Status) -> int:
    """Has the scripted expert demonstrate until the folder holds enough episodes."""
    from vilp_ros.sim.experts import MODES
    from vilp_ros.sim.tasks import SPECS

    library, modes = Library(settings.out), MODES[settings.task]
    jobs = _jobs(library, settings.seed_start, len(modes))
    limit_s = 60 + 4 * SPECS[settings.task].max_steps * 0.05
    remote.wait(lambda: remote.sim, "the simulator")
    remote.set("sim", expert_noise=settings.noise)
    kept: list[dict[str, Any]] = []
    began_s, discarded = time.monotonic(), 0
    while (count := len(library.episodes)) < settings.episodes:
        seed, mode = next(jobs)
        head = f"episode {count + 1}/{settings.episodes}  seed {seed}  "
        remote.on_tick = lambda head=head: line.update(head + _live(remote))
        remote.set("sim", seed=seed, expert_mode=mode)
        remote.set("recorder", seed=seed, note=json.dumps({"mode": modes[mode]}))
        remote.demand("sim/reset")
        remote.sim = {}
        remote.wait(lambda seed=seed: remote.sim.get("seed") == str(seed), "the new scene")
        remote.demand("recorder/start")
        remote.demand("sim/demonstrate")
        remote.wait(lambda: remote.sim.get("expert") == "done", "the expert", limit_s)
        success = remote.sim["success"] == "True"
        message = remote.demand(f"recorder/{'success' if success else 'failure'}")
        broken = "marked broken" in message
        if success == (settings.role == "suboptimal") or broken:
            remote.demand("recorder/discard")
            discarded += 1
            message += "; discarded"
        else:
            kept.append({"seed": seed, "mode": modes[mode], "message": message})
        _say(console, not broken, message)
    seconds = time.monotonic() - began_s
    told = f"{settings.out}: {len(library.episodes)} episodes of {settings.task}"
    console.print(f"{told} ({settings.role}), {discarded} discarded, {seconds:.0f} s")
    if settings.json:
        body = {"kept": kept, "discarded": discarded, "seconds": seconds}
        settings.json.write_text(json.dumps(body, indent=2) + "\n")
    return 0


def _jobs(library: Library, seed_start: int, modes: int) -> Iterator[tuple[int, int]]:
    """Seed and way of each episode; goes on behind the last one that is there."""
    seed = seed_start
    if there := library.episodes:
        with Bag(there[-1]) as bag:
            seed = int(bag.labels.get("seed", seed_start - 1)) + 1
    while True:
        if seed >= EVALUATION_SEEDS:
            raise VilpError(f"seeds from {EVALUATION_SEEDS} on are for evaluation")
        yield from ((seed, mode) for mode in range(modes))
        seed += 1


def _live(remote: Remote) -> str:
    """The recorder in one line."""
    status = remote.recorder
    if status is None:
        return "waiting for the recorder"
    if remote.value("state") != "recording":
        return f"{remote.value('episodes')} episodes in {remote.value('folder')}  {status.message}"
    rates = [
        f"{v.key.removesuffix(' hz').split('/')[0]} {float(v.value):.0f}"
        for v in status.values
        if v.key.endswith(" hz")
    ]
    trouble = f"  [yellow]{status.message}[/]" if status.level != DiagnosticStatus.OK else ""
    return (
        f"[red]rec[/] {remote.value('episode')}  {float(remote.value('seconds')):.1f} s  "
        f"{float(remote.value('mb')):.0f} MB  {float(remote.value('mb_per_s')):.1f} MB/s  "
        f"Hz: {', '.join(rates)}{trouble}"
    )


def _say(console: Console, good: bool, message: str) -> None:
    style = "none" if good else "red"
    console.print(message, style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _cbreak() -> Iterator[None]:
    """Keys come one by one, unseen."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _key() -> str:
    """A key that was pressed, or nothing."""
    ready, _, _ = select.select([sys.stdin], [], [], 0.0)
    return os.read(sys.stdin.fileno(), 1).decode(errors="ignore") if ready else ""
