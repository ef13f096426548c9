"""Topics whose publishers come and go, of whatever type, taken as serialized messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from vilp_ros.data.recording import Offer

DEPTH = 1000
"""Messages of a topic that the middleware holds while Python is elsewhere: a second at 1 kHz."""


class RawTopics:
    """Subscribes to what appears, tells what goes.

    Args:
        node: owns the subscriptions.
        wanted: absolute names.
        message: called with topic and bytes of every message.
        offered: called with topic and offer when a topic appears or becomes of another type.
        vanished: called with a topic whose last publisher went.
    """

    def __init__(
        self,
        node: Node,
        wanted: Iterable[str],
        *,
        message: Callable[[str, bytes], None],
        offered: Callable[[str, Offer], None],
        vanished: Callable[[str], None],
    ) -> None:
        self._node, self._wanted = node, list(wanted)
        self._message, self._tell, self._vanished = message, offered, vanished
        self._offers: dict[str, Offer] = {}
        self._gone: set[str] = set()
        self._subscribed: dict[str, Any] = {}

    @property
    def offered(self) -> dict[str, Offer]:
        """What is offered now, by topic; may be asked from any thread."""
        return {t: offer for t, offer in list(self._offers.items()) if t not in self._gone}

    def poll(self) -> None:
        """Follows the graph; to be called now and then."""
        for topic in self._wanted:
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                if topic in self._offers and topic not in self._gone:
                    self._gone.add(topic)
                    self._vanished(topic)
                continue
            self._gone.discard(topic)
            offer = _offer(publishers)
            if offer.kind != self._offers.get(topic, Offer("")).kind:
                self._subscribe(topic, offer, publishers)

    def destroy(self) -> None:
        """Takes the subscriptions back."""
        for subscription in self._subscribed.values():
            self._node.destroy_subscription(subscription)
        self._subscribed = {}

    def _subscribe(self, topic: str, offer: Offer, publishers: list[TopicEndpointInfo]) -> None:
        self._offers[topic] = offer
        self._tell(topic, offer)
        if topic in self._subscribed:
            # The middleware allows one type a topic for as long as a process lives.
            why = f"{topic} is {offer.kind} now: restart the recorder to record that"
            self._node.get_logger().error(why)
            return
        reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
        durable = all(
            p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers
        )
        profile = QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if durable else DurabilityPolicy.VOLATILE,
        )
        try:
            package, _, name = offer.kind.split("/")
            kind = getattr(import_module(f"{package}.msg"), name)
        except (ImportError, AttributeError, ValueError) as error:
            self._node.get_logger().error(
                f"{topic} is not recorded: no type {offer.kind} here ({error})"
            )
            return
        take = partial(self._message, topic)
        self._subscribed[topic] = self._node.create_subscription(
            kind, topic, take, profile, raw=True
        )


def _offer(publishers: list[TopicEndpointInfo]) -> Offer:
    """Of the newest publisher: where types differ, the change is what matters."""
    digest = str(getattr(publishers[-1], "topic_type_hash", ""))
    profiles = tuple(_qos(publisher.qos_profile) for publisher in publishers)
    return Offer(
        publishers[-1].topic_type, digest if digest.startswith("RIHS01_") else "", profiles
    )


def _qos(profile: QoSProfile) -> Qos:
    def span(duration: Any) -> QosTime:
        return QosTime(*divmod(duration.nanoseconds, 1_000_000_000))

    return Qos(
        history=QosHistory(int(profile.history)),
        depth=profile.depth,
        reliability=QosReliability(int(profile.reliability)),
        durability=QosDurability(int(profile.durability)),
        deadline=span(profile.deadline),
        lifespan=span(profile.lifespan),
        liveliness=QosLiveliness(int(profile.liveliness)),
        liveliness_lease_duration=span(profile.liveliness_lease_duration),
        avoid_ros_namespace_conventions=profile.avoid_ros_namespace_conventions,
    )
