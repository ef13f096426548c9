"""Reads one bag as the observation node would have, and what the arm was told meanwhile."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag, BagError, header_stamp_ns
from vilp_ros.data.commands import Commands
from vilp_ros.data.drift import Drift, disagreements
from vilp_ros.data.frames import Frame, Frames
from vilp_ros.data.frozen import FROZEN_S, FrozenWatch
from vilp_ros.data.observe import Observation, Observer, seconds, slop
from vilp_ros.data.pace import Pace
from vilp_ros.data.synchroniser import Synchroniser
from vilp_ros.errors import VilpError

REFUSED_SHARE = 0.05
"""Of a channel's messages, which may be unusable."""


@dataclass(frozen=True)
class Choice:
    """What a conversion was asked to do.

    Attributes:
        contract: instead of the one in the bag.
        task: instead of the one noted.
        role: instead of the one noted or found.
        topics: absolute names in the bag by name in the contract, where they differ.
        broken: also bags that the audit marked.
        rest: also what stands still at the start.
    """

    contract: Contract | None = None
    task: str = ""
    role: str = ""
    topics: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    rest: bool = False


class BagReader:
    """Reads one bag as the observation node would have.

    Args:
        bag: open.
        choice: what differs from what the bag says.

    Raises:
        BagError: no contract, another robot, or a topic is missing.

    Attributes:
        commands: what the arm was told, as far as was read.
        paced: how fast observations come, once `frames` has begun.
        refused: messages by channel that could not be used.
        clocks: how late the messages of each channel came.
        commanded: the same of the commands, by topic of the contract.
    """

    def __init__(self, bag: Bag, choice: Choice = Choice()) -> None:
        self.bag, noted = bag, bag.contract()
        contract = choice.contract or noted
        if contract is None:
            raise BagError(
                f"{bag.path} was not recorded by `vilp record`: name its robot with --contract"
            )
        if choice.contract and noted and noted.robot != contract.robot:
            raise BagError(
                f"{bag.path} was recorded from {noted.robot}, not from {contract.robot}: convert "
                "it with its own contract, to a dataset of its own"
            )
        self.contract, self._choice = contract, choice
        self.refused: Counter[str] = Counter()
        self._frozen = FrozenWatch(FROZEN_S)
        self.clocks: defaultdict[str, Drift] = defaultdict(Drift)
        self.commanded: defaultdict[str, Drift] = defaultdict(Drift)
        self.paced = Pace(contract.control_period_s, True)
        self.first_refusal: dict[str, str] = {}
        self.commands = Commands(contract)
        try:
            self._observer = Observer(contract)
        except VilpError as error:
            raise BagError(
                f"{bag.path}: its poses come from its joints, but {error}: install it, or name a "
                "contract whose arm is found on this host with --contract"
            ) from error
        known = {*self._observer.topics, *self.commands.topics}
        if unknown := sorted(set(choice.topics) - known):
            raise BagError(
                f"contract {contract.robot} has no topic {unknown[0]}; its topics are "
                f"{', '.join(sorted(known))}"
            )
        self._channels = {self._find(t): name for t, name in self._observer.topics.items()}
        for topic, channel in self._channels.items():
            promised, found = self._observer.kinds[channel], bag.kinds[topic]
            if found != promised:
                where = f"views.{channel}.type" if channel in contract.views else "its topic"
                raise BagError(
                    f"{bag.path}: {topic} holds {found}, contract {contract.robot} promises "
                    f"{promised} for '{channel}': change {where} in a contract for --contract"
                )
        self._actions = self._command_topics()

    @property
    def has_commands(self) -> bool:
        """Whether the arm was told anything on the topic of its kind of action."""
        arms = [topic for topic, (_, what) in self._actions.items() if what == "arm"]
        return any(self.bag.counts.get(topic) for topic in arms)

    def pace(self) -> Pace:
        """How fast observations come, by the stamps of their pictures: decodes none of them."""
        views = self.contract.views
        channels = {topic: name for topic, name in self._channels.items() if name in views}
        join: Synchroniser[None] = Synchroniser(views, {}, slop(self.contract))
        stamps: list[float] = []
        for topic, _, data in self.bag.raw(channels):
            name, stamp_ns = channels[topic], header_stamp_ns(data)
            if stamp_ns > 0:
                stamp_s = round(stamp_ns * 1e-9 - views[name].latency_s, 6)
                stamps += [at_s for at_s, _ in join.add(name, stamp_s, None)]
        return Pace.of(stamps, self.contract.control_period_s)

    def frames(self, tick: Callable[[], object] = lambda: None) -> Iterator[Frame]:
        """Every frame, one control period apart; `commands` fills up on the way.

        Args:
            tick: called for every message.

        Raises:
            BagError: a clock was set back, or a gap is too long.
        """
        self.paced = self.pace()
        frames = Frames(self.contract, self.bag.path, self.paced, self._observer.state)
        for observation in self.observations(tick):
            yield from frames.add(observation)

    def observations(self, tick: Callable[[], object] = lambda: None) -> Iterator[Observation]:
        """Every observation, in order; `commands` fills up on the way.

        Args:
            tick: called for every message.
        """
        for topic, received_ns, message in self.bag.messages([*self._channels, *self._actions]):
            tick()
            if command := self._actions.get(topic):
                self._command(*command, received_ns * 1e-9, message)
                continue
            channel = self._channels[topic]
            try:
                stamp_s, parts = self._observer.read(channel, message)
            except VilpError as error:
                self._refuse(channel, error)
                continue
            if "ee_pose" in parts:
                self._frozen.moved(stamp_s, parts["ee_pose"][:3])
            if channel in self.contract.views:
                code = zlib.crc32(np.ascontiguousarray(parts[channel]).data)
                self._frozen.check(channel, stamp_s, code)
            received_s = received_ns * 1e-9
            if parts:
                self.clocks[channel].add(received_s, received_s - stamp_s)
            yield from self._observer.add(stamp_s, parts)

    def complaints(self, told: bool = True) -> list[str]:
        """What was refused and what is wrong with the whole, a phrase each.

        Args:
            told: whether commands are of interest.
        """
        refused = [
            f"{channel}: {count} of {self._count(channel)} messages refused, first: "
            f"{self.first_refusal[channel]}"
            for channel, count in self._refused(told).items()
        ]
        return refused + self._spoiled(told)

    def check(self, told: bool = True) -> None:
        """To be called when all was read.

        Args:
            told: whether commands are of interest.

        Raises:
            BagError: a channel lost more than `REFUSED_SHARE` of its messages, or a joint was never
                named; or, unless broken bags are wanted too, its clock is not that of the others,
                or a camera was frozen.
        """
        for channel, count in self._refused(told).items():
            if count > REFUSED_SHARE * self._count(channel):
                raise BagError(
                    f"{self.bag.path}: {'; '.join(self.complaints(told))}; mend the driver or the "
                    "contract and record it again"
                )
        if lacks := self._observer.lacks():
            raise BagError(f"{self.bag.path}: {lacks}: correct that in a contract for --contract")
        if not self._choice.broken and (spoiled := self._spoiled(told)):
            raise BagError(
                f"{self.bag.path}: {'; '.join(spoiled)}. So its pictures lie beside the wrong "
                f"states{' or actions' if told else ''}: record it again, or take it as it is with "
                "--broken"
            )

    def _command(self, name: str, what: str, received_s: float, message: Any) -> None:
        try:
            self.commands.add(what, message)
        except VilpError as error:
            self._refuse(name, error)
            return
        if what in ("arm", "gripper"):
            late_s = received_s - seconds(message.header.stamp)
            self.commanded[name].add(received_s, late_s)

    def _refuse(self, channel: str, error: VilpError) -> None:
        self.refused[channel] += 1
        self.first_refusal.setdefault(channel, str(error))

    def _refused(self, told: bool) -> dict[str, int]:
        ours = self._channels.values()
        return {name: count for name, count in self.refused.items() if told or name in ours}

    def _spoiled(self, told: bool) -> list[str]:
        contract = self.contract
        half_s, commanded = contract.control_period_s / 2, self.commanded if told else {}
        found = disagreements(self.clocks, half_s, contract.staleness_s, commanded)
        clocks = [f"{channel}: {text}" for channel, _, text in found]
        return clocks + [f"{view}: {frozen}" for view, frozen in self._frozen.found.items()]

    def _count(self, channel: str) -> int:
        commands = {topic: name for topic, (name, _) in self._actions.items()}
        topics = {**self._channels, **commands}
        return sum(self.bag.counts[t] for t, name in topics.items() if name == channel)

    def _find(self, name: str) -> str:
        topic = self._choice.topics.get(name) or self.bag.topic(name)
        if not self.bag.counts.get(topic):
            there = sorted(t for t, count in self.bag.counts.items() if count)
            raise BagError(
                f"{self.bag.path} has nothing on {topic}, which contract {self.contract.robot} "
                f"needs; it has {there}: add --topic {name}:=NAME if it goes by another name"
            )
        return topic

    def _command_topics(self) -> dict[str, tuple[str, str]]:
        """Name in the contract and what comes there, by topic of the bag."""
        named = self.commands.topics.items()
        topics = {self._choice.topics.get(n) or self.bag.topic(n): (n, what) for n, what in named}
        return {topic: named for topic, named in topics.items() if topic in self.bag.kinds}
