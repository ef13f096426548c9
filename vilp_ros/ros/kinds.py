"""Notices topics of another type than the contract's: middleware never matches them, silently."""

from __future__ import annotations

from collections.abc import Mapping

from rclpy.node import Node


def wrong_kinds(node: Node, promised: Mapping[str, str]) -> dict[str, str]:
    """What publishers of a topic offer where none offers what was promised.

    Args:
        node: on the graph to look at.
        promised: type by topic, as ROS 2 writes it: "sensor_msgs/msg/Image".

    Returns:
        By topic, a phrase that names both types.
    """
    wrong = {}
    for topic, kind in promised.items():
        name = node.resolve_topic_name(topic)
        found = {info.topic_type for info in node.get_publishers_info_by_topic(name)}
        if found and kind not in found:
            wrong[topic] = f"{topic} is {', '.join(sorted(found))}, the contract promises {kind}"
    return wrong
