"""A ROS graph of one's own, which no arm on the network follows."""

from __future__ import annotations

import os
import random
import socket

from vilp_ros.errors import VilpError


def free_domain() -> int:
    """A ROS domain that nobody on this machine uses.

    DDS gives the first participant of a domain a fixed UDP port: if we can bind it, it is free.
    """
    for domain in random.SystemRandom().sample(range(1, 101), 100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain + 10))
            except OSError:
                continue
            return domain
    raise VilpError("all ROS domains from 1 to 100 are in use on this machine")


def keep_apart() -> None:
    """Put this process, and what it starts, on a domain that ends at this machine."""
    os.environ |= {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
