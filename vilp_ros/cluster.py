"""Work shared among processes, of this machine or of all that joined a Ray cluster.

Both are a `concurrent.futures.Executor`: a function of a module is called with values somewhere,
and what it returns comes back. All processes see the same files.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import metadata
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from vilp_ros.errors import VilpError

TRIES = 5
"""How often a call is tried again whose process or node was killed."""
FOUND_WITHIN_S = 10.0
COMPUTING = ("mujoco", "numpy", "robosuite", "torch")
"""Of other versions results differ."""


@contextmanager
def processes(count: int, cluster: Cluster | None = None) -> Iterator[Executor]:
    """The cluster if there is one, else `count` processes of this machine.

    Raises:
        VilpError: a process of this machine was killed.
    """
    if cluster is not None:
        yield cluster
        return
    # spawn: a forked child would inherit a rendering context and OpenMP threads that do not survive
    pool = ProcessPoolExecutor(count, get_context("spawn"), _begin)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise VilpError(
            "a worker process was killed, perhaps for want of memory: try with fewer of them"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    end_with_parent()


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone, even by a kill."""
    parent = parent_process()
    assert parent is not None, "only processes of multiprocessing know their parent"

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


class Cluster(Executor):
    """All nodes of a running Ray cluster; calls whose process or node is killed are tried again.

    Args:
        address: HOST:PORT of its head, or `auto`: the one that this machine belongs to.
        cpus: that a call takes of its node.
        gpus: that a call takes; Ray hides all others from it.

    Raises:
        VilpError: Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str, cpus: int = 1, gpus: float = 0.0) -> None:
        try:
            import ray
        except ImportError as error:
            raise VilpError("--cluster needs Ray: pip install 'vilp_ros[cluster]'") from error
        try:
            if address != "auto":  # Ray itself looks for minutes
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), FOUND_WITHIN_S).close()
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise VilpError(
                f"no Ray cluster at {address} ({_line(error)}): start one with `ray start --head`, "
                "docs/scale.md says how"
            ) from error
        self._ray, self._count, self._lock = ray, Counter[str](), Lock()
        how = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": TRIES}
        self._call = ray.remote(_there).options(**how)
        self._cpus, self._here = cpus, (os.getcwd(), _installed())

    @property
    def slots(self) -> int:
        """How many calls may run at once, by the CPUs of the nodes that are there now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 0) / self._cpus))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Calls `fn` on some node.

        Args:
            fn: a function of a module.
            args: its arguments.
            kwargs: likewise.

        Returns:
            What it returns, or the VilpError that it raised; a VilpError, too, if its process was
            killed more than `TRIES` times or its node has other versions or no such folder.
        """
        answer: Future[Any] = Future()
        answer.set_running_or_notify_cancel()
        sent = self._call.remote(self._here, fn, args, kwargs).future()
        sent.add_done_callback(functools.partial(self._take, fn.__name__, answer))
        return answer

    def _take(self, name: str, answer: Future[Any], sent: Future[Any]) -> None:
        errors = self._ray.exceptions
        try:
            node, result = sent.result()
        except errors.RayTaskError as error:
            answer.set_exception(error.cause if isinstance(error.cause, VilpError) else error)
        except errors.RayError as error:
            killed = f"{name.strip('_')} was killed {TRIES + 1} times on the cluster"
            answer.set_exception(VilpError(f"{killed}: {_line(error)}"))
        except BaseException as error:
            answer.set_exception(error)
        else:
            with self._lock:
                self._count[node] += 1
            answer.set_result(result)

    def summary(self, unit: str) -> str:
        """What each node did, in one line."""
        alive: dict[str, bool] = {}
        for node in self._ray.nodes():
            name = node["NodeManagerAddress"]
            alive[name] = alive.get(name, False) or node["Alive"]
        return ", ".join(
            f"{name}: {self._count[name]} {unit}" + ("" if there else ", then lost")
            for name, there in sorted(alive.items())
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the cluster, which ends what is still under way."""
        self._ray.shutdown()


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


@functools.cache
def _installed() -> tuple[str, ...]:
    """What results depend on: a hash of this package, and versions."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    versions = (f"{name} {metadata.version(name)}" for name in COMPUTING)
    return (f"vilp_ros {digest.hexdigest()[:12]}", *versions)


def _there(
    sender: tuple[str, tuple[str, ...]], fn: Callable[..., Any], args: tuple, kwargs: dict
) -> tuple[str, Any]:
    """On a node: the node, and what `fn` returned."""
    import ray

    node = ray.util.get_node_ip_address()
    folder, installed = sender
    if missing := set(installed) - set(_installed()):
        raise VilpError(
            f"node {node} has {', '.join(_installed())}, not {', '.join(sorted(missing))}: install "
            "the same on all nodes, and start Ray there anew"
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise VilpError(
            f"node {node} has no folder {folder}: all nodes must see the same files"
        ) from error
    return node, fn(*args, **kwargs)
