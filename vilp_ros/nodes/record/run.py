"""`vilp record`: the recorder in a process of its own, and a terminal that commands it."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from dataclasses import replace

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rich.console import Console

from vilp_ros.data.recording import Library
from vilp_ros.nodes.record.expert import conduct, drop_unfinished
from vilp_ros.nodes.record.keys import listen
from vilp_ros.nodes.record.remote import Remote
from vilp_ros.nodes.record.settings import Settings
from vilp_ros.ros.domain import keep_apart
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.supervisor import Supervisor


def run_record(settings: Settings) -> int:
    """Records until the user quits, or until the expert has shown enough.

    Returns:
        Exit code: 0, or 1 if an episode failed in automatic mode.
    """
    chosen = {
        "model": settings.model,
        "contract": settings.contract,
        "record": str(settings.out),
        "task": settings.task if settings.expert else "",  # a robot does what it likes
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
        keep_apart()
    console, stop, dead = Console(), threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def write(line: str) -> None:
        if "ended by itself" in line:
            dead.set()
        if "[INFO]" in line or "[WARN]" in line:
            return  # the live line says it
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True, style="dim")

    with ExitStack() as stack:
        if settings.expert:  # called when the recorder has ended
            stack.callback(drop_unfinished, Library(settings.out))
        supervisor = stack.enter_context(Supervisor(started, write=write))
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
                    return conduct(settings, remote, console, line)
                return listen(remote, console, line)
        except KeyboardInterrupt:
            return 0
        finally:
            ended.set()
            watcher.join()
            executor.remove_node(remote)
            remote.destroy_node()
            executor.shutdown()
            rclpy.shutdown()
