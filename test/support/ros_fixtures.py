"""A ROS domain that no test run on this machine uses at the same time, and a probe in it."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ros_rig import Probe

DOMAINS = range(1, 102)  # above, Fast DDS's ports meet those that Linux hands out
_turns = itertools.count(os.getpid())


@contextmanager
def own_domain() -> Iterator[int]:
    """Lends a domain while a lock on its file is held; a run that dies gives it back.

    Each time another: a process that was killed is believed alive for 20 s in its own.
    """
    folder = Path(tempfile.gettempdir()) / f"vilp_ros_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for turn in itertools.islice(_turns, len(DOMAINS)):
        number = DOMAINS[turn % len(DOMAINS)]
        with (folder / str(number)).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise RuntimeError(f"all domains are taken; see who holds the locks in {folder}")


@pytest.fixture(scope="module")
def domain() -> Iterator[int]:
    """For this process and its children."""
    with own_domain() as number:
        before = os.environ["ROS_DOMAIN_ID"]
        os.environ["ROS_DOMAIN_ID"] = str(number)
        yield number
        os.environ["ROS_DOMAIN_ID"] = before


@pytest.fixture(scope="module")
def probe(domain) -> Iterator[Probe]:
    """Listens in it."""
    probe = Probe(domain)
    yield probe
    probe.close()
