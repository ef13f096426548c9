"""Reads one bag as the observation node would have, and what the arm was told meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.commands import Commands
from vilp_ros.data.observe import Observation, Observer
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
    """

    contract: Contract | None = None
    task: str = ""
    role: str = ""
    topics: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False


class BagReader:
    """Reads one bag as the observation node would have.

    Args:
        bag: open.
        choice: what differs from what the bag says.

    Raises:
        BagError: no contract, another robot, or a topic is missing.
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
        self.first_refusal: dict[str, str] = {}
        self.commands = Commands(contract)
        self._observer = Observer(contract)
        known = {*self._observer.topics, *self.commands.topics}
        if unknown := sorted(set(choice.topics) - known):
            raise BagError(
                f"contract {contract.robot} has no topic {unknown[0]}; its topics are "
                f"{', '.join(sorted(known))}"
            )
        self._channels = {self._find(t): name for t, name in self._observer.topics.items()}
        self._actions = self._command_topics()

    @property
    def has_commands(self) -> bool:
        """Whether the arm was told anything on the topic of its kind of action."""
        return any(self.bag.counts.get(t) for t, what in self._actions.items() if what == "arm")

    def observations(self, tick: Callable[[], object] = lambda: None) -> Iterator[Observation]:
        """Every observation, in order; `commands` fills up on the way.

        Args:
            tick: called for every message.
        """
        for topic, _, message in self.bag.messages([*self._channels, *self._actions]):
            tick()
            if what := self._actions.get(topic):
                self.commands.add(what, message)
                continue
            channel = self._channels[topic]
            try:
                stamp_s, value = self._observer.read(channel, message)
            except VilpError as error:
                self.refused[channel] += 1
                self.first_refusal.setdefault(channel, str(error))
                continue
            if complete := self._observer.add(channel, stamp_s, value):
                yield complete

    def complaints(self) -> list[str]:
        """What was refused, a phrase for each channel."""
        return [
            f"{channel}: {count} of {self._count(channel)} messages refused, first: "
            f"{self.first_refusal[channel]}"
            for channel, count in self.refused.items()
        ]

    def check_refused(self) -> None:
        """Raises BagError if a channel lost more than `REFUSED_SHARE` of its messages."""
        for channel, count in self.refused.items():
            if count > REFUSED_SHARE * self._count(channel):
                raise BagError(
                    f"{self.bag.path}: {'; '.join(self.complaints())}; mend the driver or the "
                    "contract and record it again"
                )

    def _count(self, channel: str) -> int:
        return sum(self.bag.counts[t] for t, name in self._channels.items() if name == channel)

    def _find(self, name: str) -> str:
        topic = self._choice.topics.get(name) or self.bag.topic(name)
        if not self.bag.counts.get(topic):
            there = sorted(t for t, count in self.bag.counts.items() if count)
            raise BagError(
                f"{self.bag.path} has nothing on {topic}, which contract {self.contract.robot} "
                f"needs; it has {there}: add --topic {name}:=NAME if it goes by another name"
            )
        return topic

    def _command_topics(self) -> dict[str, str]:
        named = self.commands.topics
        topics = {self._choice.topics.get(n) or self.bag.topic(n): w for n, w in named.items()}
        return {topic: what for topic, what in topics.items() if topic in self.bag.kinds}
