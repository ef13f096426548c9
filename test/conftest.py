"""Every test, and every process that one starts, runs on one thread in a ROS graph of its own."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

import one_arm
import pytest

_LOGS = tempfile.TemporaryDirectory(prefix="vilp_ros_test_")

os.environ |= {
    "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    "ROS_LOG_DIR": _LOGS.name,
    "OMP_NUM_THREADS": "1",
}


one_arm.yield_to_nodes()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Instead of one that starts two graphs of nodes at once."""
    return one_arm.OneArmScheduling(config, log)


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """libfranka gives a thread that controls an arm real-time priority and never takes it back.

    Whatever ran in this process next would keep the tests beside it from running.
    """
    yield
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            if os.sched_getscheduler(int(thread)) != os.SCHED_OTHER:
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
