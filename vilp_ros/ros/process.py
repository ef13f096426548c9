"""Run one node as a process that always ends cleanly."""

from __future__ import annotations

import _thread
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, Protocol

import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vilp_ros.errors import VilpError
from vilp_ros.ros.supervisor import SUPERVISOR

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Runnable(Protocol):
    """What a node of this package offers beside rclpy's own.

    Attributes:
        exit_code: Not None ends the process.
        loading: Whether a callback does long work and takes KeyboardInterrupt for "break it off";
            set to False when it was.
    """

    exit_code: int | None
    loading: bool

    def close(self) -> None:
        """Stop and join every thread of the node."""


def _executor() -> Executor:
    try:
        from rclpy.experimental import EventsExecutor  # half the CPU per message
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _orphaned() -> bool:
    """Whether the supervisor that started this process is gone: nobody could stop the arm."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and os.getppid() != int(supervisor)


def run(factory: Callable[[], Node]) -> NoReturn:
    """Spin the node that `factory` makes until a signal or its own `exit_code`; end the process.

    Signals are waited for by a thread instead of being handled: launch and a terminal both send
    SIGINT, and whatever the second one interrupts, rclpy's shutdown or python's, ends badly. A
    process that exits while a thread of its own still spins aborts.

    The process ends with 0 after SIGINT or SIGTERM, 2 if the node cannot be made, else with its
    `exit_code`; what is not a `VilpError` leaves with its traceback.
    """
    stop, node = threading.Event(), None

    def break_off(*_: object) -> None:
        stop.set()
        if getattr(node, "loading", False):
            node.loading = False
            raise KeyboardInterrupt

    def wait_for_signal() -> None:
        signal.sigwait(SIGNALS)
        stop.set()
        _thread.interrupt_main()  # `break_off`, in the main thread

    signal.signal(signal.SIGINT, break_off)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=wait_for_signal, daemon=True).start()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor, code = _executor(), 0
    try:
        node = factory()
        executor.add_node(node)
        while not stop.is_set() and node.exit_code is None and not _orphaned():
            executor.spin_once(timeout_sec=0.1)
        code = node.exit_code or 0
    except VilpError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        code = 2
    finally:
        if node is not None:
            node.close()
            executor.remove_node(node)
            node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
        # A lifecycle node's transition_event goes with the node's last reference, the participant
        # with its context; left to die with the process, others see both for 20 s more.
        node = None
        gc.collect()
        rclpy.get_default_context().destroy()
    # Not through the interpreter's own exit: torch spends seconds there on a busy machine, which
    # launch takes for a hang, and a thread deep in a library aborts.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
