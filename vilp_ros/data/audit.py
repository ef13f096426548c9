"""Find out while an episode is recorded, not after training, that it is not what was promised.

Judges stamps and bytes as they arrive; knows the contract, decodes nothing, needs no ROS.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

from vilp_ros.contract import Contract

RATE_SHARE = 0.9
"""Of the promised rate, which an episode must reach."""
SKEW_SHARE = 0.05
"""Of the frames, which may lie further from the other view than half a control period."""
FROZEN_S, ALL_FROZEN_S = 1.0, 3.0
"""The same picture for so long, while another view moves or while none does."""
WAIT_S = 1.0
"""A channel that has said nothing by then is missing."""
_BEHIND = 600
"""Frames that one view may be ahead of another before that counts as skew: what Fast DDS lost of a
reliable topic it sends again with its heartbeat, 3 s later, and again if that was lost too."""
_CONTENT = 12
"""In a serialized message: what follows the stamp of its header."""


@dataclass(frozen=True)
class Finding:
    """A bound that an episode broke."""

    channel: str
    what: str
    text: str

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
    changed_ns: int = 0
    frozen_ns: int = 0
    content: bytes = b""

    def add(self, received_ns: int, stamp_ns: int, data: bytes) -> None:
        """Takes one message; those without a stamp, or with one that came before, only count."""
        if self.count and received_ns - self.received_ns > self.silence_ns:
            self.silence_ns, self.silence_at_ns = received_ns - self.received_ns, self.received_ns
        self.count, self.received_ns = self.count + 1, received_ns
        if stamp_ns <= 0:
            self.unstamped += 1
        elif not self.last_ns:
            self.first_ns = self.last_ns = self.changed_ns = stamp_ns
        elif stamp_ns == self.last_ns:
            self.duplicates += 1
        elif stamp_ns < self.last_ns:
            self.backwards += 1
        else:
            if stamp_ns - self.last_ns > self.gap_ns:
                self.gap_ns, self.gap_at_ns = stamp_ns - self.last_ns, self.last_ns
            self.last_ns = stamp_ns
            if self.camera:
                self._compare(stamp_ns, data[_CONTENT:])

    def _compare(self, stamp_ns: int, content: bytes) -> None:
        if content != self.content:
            self.changed_ns, self.content = stamp_ns, content
        self.frozen_ns = max(self.frozen_ns, stamp_ns - self.changed_ns)

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
            come at least once a control period; commands are judged by nobody, since an episode
            without them is a demonstration too.
    """

    def __init__(self, contract: Contract) -> None:
        proprio, self._contract = contract.proprio, contract
        needed_hz = 1.0 / contract.control_period_s
        self.channels = {v.topic: Channel(v.rate_hz, True) for v in contract.views.values()}
        for topic in (proprio.ee_pose_topic, proprio.gripper_topic, proprio.joint_state_topic):
            self.channels[topic] = Channel(needed_hz, False)
        bound_ns = round(contract.control_period_s / 2 * 1e9)
        views = [view.topic for view in contract.views.values()]
        self._skews = {pair: _Skew(bound_ns) for pair in combinations(views, 2)}
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
        channel = self.channels.get(topic)
        if channel is None:
            return
        channel.add(received_ns, stamp_ns, data)
        if channel.camera and stamp_ns > 0:
            for pair, skew in self._skews.items():
                if topic in pair:
                    skew.add(pair.index(topic), stamp_ns)

    def tick(self, now_ns: int) -> None:
        """Tells the time, on the clock of reception."""
        self._began_ns = self._began_ns or now_ns
        self._now_ns = max(self._now_ns, now_ns)

    def fail(self, channel: str, what: str, text: str) -> None:
        """Notes what only the recorder can see: a topic that went, a disk that is full."""
        self._failures.setdefault((channel, what), Finding(channel, what, text))

    def findings(self) -> list[Finding]:
        """Every bound that is broken by now."""
        found = list(self._failures.values())
        for topic, channel in self.channels.items():
            found += self._judge(topic, channel)
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
            return [Finding(topic, "missing", "nothing came")] if missing else []
        found = {}
        span_s = (channel.last_ns - channel.first_ns) * 1e-9
        if span_s > WAIT_S and channel.rate_hz < RATE_SHARE * channel.promised_hz:
            found["rate"] = f"{channel.rate_hz:.1f} Hz, promised {channel.promised_hz:g} Hz"
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
        if channel.camera and self._frozen(topic, channel):
            found["frozen"] = f"the same picture for {channel.frozen_ns * 1e-9:.1f} s"
        return [Finding(topic, what, text) for what, text in found.items()]

    def _frozen(self, topic: str, channel: Channel) -> bool:
        frozen_s = channel.frozen_ns * 1e-9
        others = [c for name, c in self.channels.items() if c.camera and name != topic]
        moved = any(c.frozen_ns * 1e-9 < frozen_s / 2 for c in others if c.count)
        return frozen_s > (FROZEN_S if moved else ALL_FROZEN_S)

    def report(self) -> dict[str, Any]:
        """Figures and findings, as they stand in the bag's metadata."""
        return {
            "findings": [str(finding) for finding in self.findings()],
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
                    **({"frozen_s": round(channel.frozen_ns * 1e-9, 3)} if channel.camera else {}),
                }
                for topic, channel in self.channels.items()
            },
            "skew_ms": {
                f"{first} {second}": round(skew.most_ns / 1e6, 1)
                for (first, second), skew in self._skews.items()
            },
        }
