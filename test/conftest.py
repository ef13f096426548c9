"""Every test, and every process that one starts, runs on one thread in a ROS graph of its own."""

import os
import tempfile

_LOGS = tempfile.TemporaryDirectory(prefix="vilp_ros_test_")

os.environ |= {
    "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    "ROS_LOG_DIR": _LOGS.name,
    "OMP_NUM_THREADS": "1",
}
