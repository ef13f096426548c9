"""Find out while an episode is recorded, not after training, that it is not what was promised.

Judges stamps and bytes as they arrive; knows the contract, decodes no picture, needs no ROS.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.bag import joint_names, pose_position, typestore
from vilp_ros.data.drift import Drift, disagreements
from vilp_ros.data.frozen import FROZEN_S, FrozenWatch
from vilp_ros.data.observe import joints_by_name
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import Kinematics, kinematics_of

RATE_OFF, RATE_BROKEN = 0.02, 0.1
"""Of the promised rate: further off, slower or faster, a camera is named, or its episode broken."""
SKEW_SHARE = 0.05
"""Of the frames, which may lie further from the other view than half a control period, or than
half the period of the slowest camera."""
WAIT_S = 1.0
"""A channel that has said nothing by then is missing."""
_BEHIND = 600
"""Frames that one view may be ahead of another before that counts as skew: what Fast DDS lost of a
reliable topic it sends again with its heartbeat, 3 s later, and again if that was lost too."""
_CONTENT = 12
"""In a serialized message: what follows the stamp of its header."""


_AT_REST = re.compile(r".*: the same picture for [\d.]+ s")


def still_true(findings: Iterable[object]) -> list[str]:
    """Findings of a bag's own audit but those that a later look at its pictures decides better.

    Before the audit knew of the hand, it took scenes that stand still for frozen cameras.
    """
    return [text for text in map(str, findings) if not _AT_REST.fullmatch(text)]


@dataclass(frozen=True)
class Finding:
    """A bound that an episode broke, or what is only worth a word."""

    channel: str
    what: str
    text: str
    breaks: bool = True

    def __str__(self) -> str:
        """A phrase."""
        return f"{self.channel}: {self.text}"


@dataclass
class Channel:
    """What was seen of one topic. Times are nanoseconds, of the header's clock but for reception.

    Attributes:
        promised_hz: the rate that the contract promises, or that training needs.
        camera: whether it carries images.
        required: whether an episode without it is broken.
        gap_ns: longest between two stamps: the sender was silent, or messages were lost.
        silence_ns: longest between two receptions; where no gap is as long, the way was slow.
    """

    promised_hz: float
    camera: bool
    required: bool = True
    count: int = 0
    received_ns: int = 0
    silence_ns: int = 0
    silence_at_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0
    gap_ns: int = 0
    gap_at_ns: int = 0
    duplicates: int = 0
    backwards: int = 0
    unstamped: int = 0
    clock: Drift = field(default_factory=Drift)

    def add(self, received_ns: int, stamp_ns: int) -> None:
        """Takes one message; those without a stamp, or with one that came before, only count."""
        if self.count and received_ns - self.received_ns > self.silence_ns:
            self.silence_ns, self.silence_at_ns = received_ns - self.received_ns, self.received_ns
        self.count, self.received_ns = self.count + 1, received_ns
        if stamp_ns <= 0:
            self.unstamped += 1
        elif not self.last_ns:
            self.first_ns = self.last_ns = stamp_ns
        elif stamp_ns == self.last_ns:
            self.duplicates += 1
        elif stamp_ns < self.last_ns:
            self.backwards += 1
        else:
            if stamp_ns - self.last_ns > self.gap_ns:
                self.gap_ns, self.gap_at_ns = stamp_ns - self.last_ns, self.last_ns
            self.last_ns = stamp_ns
        if stamp_ns > 0:
            self.clock.add(1e-9 * received_ns, 1e-9 * (received_ns - stamp_ns))

    @property
    def rate_hz(self) -> float:
        """Of the stamps that rose."""
        rose = self.count - self.duplicates - self.backwards - self.unstamped
        span_s = (self.last_ns - self.first_ns) * 1e-9
        return (rose - 1) / span_s if span_s > 0 else 0.0


@dataclass
class _Skew:
    """Distance in time between the frames of two views.

    A frame is judged when the other view has come as far: a busy middleware hands over seconds of
    one topic before it turns to the next.
    """

    bound_ns: int
    stamps: tuple[deque[int], deque[int]] = field(
        default_factory=lambda: (deque(maxlen=_BEHIND), deque(maxlen=_BEHIND))
    )
    waiting: tuple[deque[int], deque[int]] = field(default_factory=lambda: (deque(), deque()))
    frames: int = 0
    beyond: int = 0
    most_ns: int = 0

    def add(self, side: int, stamp_ns: int) -> None:
        """Takes a frame of the first (0) or the second (1) view."""
        self.stamps[side].append(stamp_ns)
        self.waiting[side].append(stamp_ns)
        for mine, other in ((0, 1), (1, 0)):
            queue, there = self.waiting[mine], self.stamps[other]
            while queue and there and (there[-1] >= queue[0] or len(queue) >= _BEHIND):
                self._judge(queue.popleft(), there)

    def _judge(self, stamp_ns: int, there: deque[int]) -> None:
        while len(there) > 1 and there[1] <= stamp_ns:
            there.popleft()  # later frames are nearer to the next
        distance = min(abs(stamp_ns - stamp) for stamp in islice(there, 2))
        self.frames += 1
        self.beyond += distance > self.bound_ns
        self.most_ns = max(self.most_ns, distance)


class Audit:
    """Of one episode.

    Args:
        contract: of the robot. Views must keep the rate that it promises; the robot's state must
            come at least once a control period. Of commands only the clock is judged, since an
            episode without them is a demonstration too.

    Attributes:
        channels: what must come, by name.
        commanded: clocks of the commands, by topic.
    """

    def __init__(self, contract: Contract) -> None:
        proprio, action, self._contract = contract.proprio, contract.action, contract
        needed_hz = 1.0 / contract.control_period_s
        self.channels = {v.topic: Channel(v.rate_hz, True) for v in contract.views.values()}
        for topic in (proprio.ee_pose_topic, proprio.gripper_topic, proprio.joint_state_topic):
            if topic is not None:
                self.channels[topic] = Channel(needed_hz, False)
        told = action.pose_topic if action.kind == "ee_pose" else action.joint_topic
        self.commanded = {topic: Drift() for topic in (told, action.width_topic) if topic}
        self._gripper = f"{proprio.gripper_topic}:{proprio.gripper_joint}"
        self._shared = proprio.gripper_topic == proprio.joint_state_topic
        if self._shared:
            self.channels[self._gripper] = Channel(needed_hz, False)
        slowest_s = max(1 / view.rate_hz for view in contract.views.values())
        bound_ns = round(max(contract.control_period_s, slowest_s) / 2 * 1e9)
        views = [view.topic for view in contract.views.values()]
        self._skews = {pair: _Skew(bound_ns) for pair in combinations(views, 2)}
        self._frozen = FrozenWatch(FROZEN_S)
        self._hand_topic = proprio.ee_pose_topic or proprio.joint_state_topic
        self._arm: Kinematics | None = None
        self._hand_ns = 0
        self._named: set[str] = set()
        self._unknown: list[Finding] = []
        if proprio.ee_pose_topic is None:
            try:
                self._arm = kinematics_of(contract)
            except VilpError as error:  # what is recorded is none the worse
                text = f"frozen pictures are not looked for: {error}"
                self._unknown = [Finding(proprio.joint_state_topic, "arm", text, False)]
        self._began_ns = self._now_ns = 0
        self._failures: dict[tuple[str, str], Finding] = {}

    def add(self, topic: str, received_ns: int, stamp_ns: int, data: bytes) -> None:
        """Takes one message.

        Args:
            topic: as in the contract; others are not judged.
            received_ns: when it came.
            stamp_ns: of its header; 0 if it has none.
            data: serialized.
        """
        self.tick(received_ns)
        if (clock := self.commanded.get(topic)) is not None and stamp_ns > 0:
            clock.add(1e-9 * received_ns, 1e-9 * (received_ns - stamp_ns))
        channel = self.channels.get(topic)
        if channel is None:
            return
        for name in self._told(topic, data):
            self.channels[name].add(received_ns, stamp_ns)
        is_hand = topic == self._hand_topic and stamp_ns > 0
        if is_hand and (position := self._hand(stamp_ns, data)) is not None:
            self._frozen.moved(stamp_ns * 1e-9, position)
        if channel.camera and stamp_ns > 0:
            self._frozen.check(topic, stamp_ns * 1e-9, data[_CONTENT:])
            for pair, skew in self._skews.items():
                if topic in pair:
                    skew.add(pair.index(topic), stamp_ns)

    def _told(self, topic: str, data: bytes) -> list[str]:
        """Channels that a message is of: on the arm's topic others may publish theirs, too."""
        proprio = self._contract.proprio
        if topic != proprio.joint_state_topic or not (names := joint_names(data)):
            return [topic]
        self._named.update(names)
        told = [] if set(names).isdisjoint(proprio.joint_names) else [topic]
        if self._shared and proprio.gripper_joint in names:
            told.append(self._gripper)
        return told

    def _hand(self, stamp_ns: int, data: bytes) -> np.ndarray | None:
        """(3,) m; None where a message does not say. Of joints, once a control period is enough."""
        if self._contract.proprio.ee_pose_topic is not None:
            return pose_position(data)
        near_ns = self._contract.control_period_s * 1e9
        if self._arm is None or abs(stamp_ns - self._hand_ns) < near_ns:
            return None
        try:
            message: Any = typestore().deserialize_cdr(data, "sensor_msgs/msg/JointState")
            names = self._contract.proprio.joint_names
            joints = joints_by_name(message, message.position, names)
        except (VilpError, ValueError, IndexError, struct.error):
            return None  # another's, or refused elsewhere by name
        self._hand_ns = stamp_ns
        return self._arm.forward(joints)[:3] if np.isfinite(joints).all() else None

    def tick(self, now_ns: int) -> None:
        """Tells the time, on the clock of reception."""
        self._began_ns = self._began_ns or now_ns
        self._now_ns = max(self._now_ns, now_ns)

    def fail(self, channel: str, what: str, text: str) -> None:
        """Notes what only the recorder can see: a topic that went, a disk that is full."""
        self._failures.setdefault((channel, what), Finding(channel, what, text))

    def findings(self) -> list[Finding]:
        """Every bound that is broken by now, and what else is worth a word."""
        found = [*self._failures.values(), *self._unknown]
        for topic, channel in self.channels.items():
            found += self._judge(topic, channel)
        half_s, stale_s = self._contract.control_period_s / 2, self._contract.staleness_s
        clocks = {topic: channel.clock for topic, channel in self.channels.items()}
        told = dict(self.commanded)
        if self._shared:  # often the same messages: no second witness
            told[self._gripper] = clocks.pop(self._gripper)
        found += [Finding(*words) for words in disagreements(clocks, half_s, stale_s, told)]
        for (first, second), skew in self._skews.items():
            if skew.beyond > SKEW_SHARE * max(skew.frames, 20):
                text = (
                    f"{skew.beyond} of {skew.frames} frames are up to {skew.most_ns / 1e6:.0f} ms "
                    f"off {first}, allowed {skew.bound_ns / 1e6:.0f} ms"
                )
                found.append(Finding(second, "skew", text))
        return found

    def _judge(self, topic: str, channel: Channel) -> list[Finding]:
        elapsed_s = (self._now_ns - self._began_ns) * 1e-9
        if not channel.count:
            missing = channel.required and elapsed_s >= WAIT_S
            text, joints = "nothing came", self._contract.proprio.joint_state_topic
            if self._named and topic in (joints, self._gripper):
                text += f"; joints named on {joints} are {', '.join(sorted(self._named))}"
            return [Finding(topic, "missing", text)] if missing else []
        found = {}
        if channel.gap_ns * 1e-9 > self._contract.staleness_s:
            at_s = (channel.gap_at_ns - channel.first_ns) * 1e-9
            found["gap"] = f"a gap of {channel.gap_ns * 1e-9:.2f} s at {at_s:.1f} s"
        silent_s = (self._now_ns - channel.received_ns) * 1e-9
        if silent_s > max(self._contract.staleness_s, WAIT_S):
            found["silent"] = f"nothing for the last {silent_s:.1f} s"
        if channel.unstamped:
            found["unstamped"] = f"{channel.unstamped} of {channel.count} messages bear no stamp"
        if channel.duplicates:
            found["duplicates"] = f"{channel.duplicates} stamps came twice"
        if channel.backwards:
            found["backwards"] = f"{channel.backwards} stamps lie before the one before them"
        if frozen := self._frozen.found.get(topic):
            found["frozen"] = str(frozen)
        rate = self._judge_rate(topic, channel)
        return rate + [Finding(topic, what, text) for what, text in found.items()]

    def _judge_rate(self, topic: str, channel: Channel) -> list[Finding]:
        """A state must come as often as is needed, a camera as often as is promised, no oftener."""
        span_s = (channel.last_ns - channel.first_ns) * 1e-9
        off = channel.rate_hz / channel.promised_hz - 1
        if span_s <= WAIT_S or abs(off) <= RATE_OFF or (off > 0 and not channel.camera):
            return []
        text = f"{channel.rate_hz:.1f} Hz, promised {channel.promised_hz:g} Hz"
        breaks = off < -RATE_BROKEN or 1 / (1 + off) < 1 - RATE_BROKEN
        if not (breaks or channel.camera):
            return []
        return [Finding(topic, "rate", text, breaks)]

    def report(self) -> dict[str, Any]:
        """Figures and findings, as they stand in the bag's metadata.

        `findings` break an episode, `remarks` do not.
        """
        found = self.findings()
        return {
            "findings": [str(finding) for finding in found if finding.breaks],
            "remarks": [str(finding) for finding in found if not finding.breaks],
            "channels": {
                topic: {
                    "messages": channel.count,
                    "rate_hz": round(channel.rate_hz, 2),
                    "longest_gap_s": round(channel.gap_ns * 1e-9, 4),
                    "longest_silence_s": round(channel.silence_ns * 1e-9, 4),
                    "silence_at_s": round(max(channel.silence_at_ns - self._began_ns, 0) * 1e-9, 2),
                    "duplicates": channel.duplicates,
                    "backwards": channel.backwards,
                    "unstamped": channel.unstamped,
                    "drift_ms": round(1e3 * (channel.clock.moved_s or 0.0), 1),
                }
                for topic, channel in self.channels.items()
            },
            "skew_ms": {
                f"{first} {second}": round(skew.most_ns / 1e6, 1)
                for (first, second), skew in self._skews.items()
            },
        }
