"""From bags to episodes: the observations that the robot would have had, and what it was told."""

from __future__ import annotations

import bisect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.episodes import DatasetError, Episode, EpisodeWriter
from vilp_ros.data.observe import Observation, Observer, from_pose, joints_by_name, seconds
from vilp_ros.data.robot_state import RobotState, blend_state
from vilp_ros.data.synchroniser import SAME_S
from vilp_ros.errors import VilpError

COMMANDER, SOURCE = "commander", "controller/command_source"
HUMAN, POLICY, NOISE = "teleop", "policy", "expert+noise"
AFTER_S = 0.5
"""How long after the last command an episode goes on."""
REFUSED_SHARE = 0.05
"""Of a channel's messages, which may be unusable."""
_SAME_RATE = 0.1


@dataclass
class Commands:
    """What the arm was told, by the stamps of the commands."""

    kind: str
    stamps: list[float] = field(default_factory=list)
    arm: list[np.ndarray] = field(default_factory=list)
    gripper_stamps: list[float] = field(default_factory=list)
    gripper: list[float] = field(default_factory=list)
    who: dict[float, str] = field(default_factory=dict)
    by_policy: bool = False

    def before(self, stamp_s: float) -> int:
        """How many arm commands were sent before a time.

        Strictly: one with the stamp of a frame was made from that frame, and acts after it.
        """
        return bisect.bisect_left(self.stamps, stamp_s - SAME_S)

    def action(self, stamp_s: float, width: float) -> np.ndarray:
        """(8,) in force at a time; the width stands in where the gripper was told nothing."""
        arm = self.arm[self.before(stamp_s) - 1]
        number = bisect.bisect_left(self.gripper_stamps, stamp_s - SAME_S)
        return np.append(arm, self.gripper[number - 1] if number else width)

    def commander(self, stamp_s: float) -> str:
        """Who gave the command in force at a time."""
        stamp = self.stamps[self.before(stamp_s) - 1]
        return self.who.get(stamp, POLICY if self.by_policy else "unknown")


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


@dataclass
class Outcome:
    """What became of one bag."""

    path: Path
    steps: int = 0
    role: str = ""
    notes: list[str] = field(default_factory=list)
    error: str = ""
    there: bool = False


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
        self.commands = Commands(contract.action.kind)
        self._observer = Observer(contract)
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
                self._command(what, message)
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
        action = self.contract.action
        arm = action.pose_topic if action.kind == "ee_pose" else action.joint_topic
        named = {
            arm or "": "arm",
            action.gripper_topic: "gripper",
            COMMANDER: "commander",
            SOURCE: "source",
        }
        topics = {
            self._choice.topics.get(name) or self.bag.topic(name): what
            for name, what in named.items()
            if name
        }
        return {topic: what for topic, what in topics.items() if topic in self.bag.kinds}

    def _command(self, what: str, message: Any) -> None:
        commands = self.commands
        if what == "source":
            commands.by_policy = True
        elif what == "commander":
            commands.who[seconds(message.stamp)] = message.frame_id
        elif what == "gripper":
            if len(message.position):
                stamp_s = self._stamp(message, commands.gripper_stamps)
                commands.gripper.append(float(message.position[0]))
                commands.gripper_stamps.append(stamp_s)
        else:
            commands.arm.append(self._arm(message))
            commands.stamps.append(self._stamp(message, commands.stamps))

    def _arm(self, message: Any) -> np.ndarray:
        if self.contract.action.kind == "ee_pose":
            return from_pose(message.pose)
        names = self.contract.proprio.joint_names
        return joints_by_name(message, message.points[-1].positions, names)

    def _stamp(self, message: Any, before: list[float]) -> float:
        """When a command acts; never before the one before it."""
        stamp_s = seconds(message.header.stamp) + self.contract.action.latency_s
        return max(stamp_s, before[-1]) if before else stamp_s


class Frames:
    """Picks one observation a control period.

    A camera that runs at the control rate gives every frame; any other rate gives the frame nearest
    to each period's end. Up to `staleness_s` a gap is bridged as the robot would bridge it: the
    picture stays, the state is interpolated.

    Args:
        contract: of the robot.
        where: names the bag in errors.
    """

    def __init__(self, contract: Contract, where: object) -> None:
        self._period_s, self._limit_s = contract.control_period_s, contract.staleness_s
        rates = [view.rate_hz * self._period_s for view in contract.views.values()]
        self._every = all(abs(rate - 1) < _SAME_RATE for rate in rates)
        self._where = where
        self._last: Observation | None = None
        self._pending: Observation | None = None
        self._begin_s = 0.0
        self._count = 0

    def add(self, observation: Observation) -> Iterator[tuple[Observation, bool]]:
        """The frames that an observation completes, and whether each is a filler.

        Raises:
            BagError: the clock was set back, or a gap is too long.
        """
        if self._last is None:
            self._begin_s = observation.stamp_s
            yield self._take(observation), False
            return
        gap_s = observation.stamp_s - (self._pending or self._last).stamp_s
        if gap_s <= 0:
            raise BagError(
                f"{self._where}: the stamps go back by {-gap_s:.1f} s at {self._elapsed():.1f} s: "
                "a clock was set while it was recorded; record it again"
            )
        if gap_s > self._limit_s:
            why = f"no observation for {gap_s:.2f} s at {self._elapsed():.1f} s"
            raise BagError(
                f"{self._where}: {why}, the contract allows {self._limit_s:g} s: record it again"
            )
        if self._every:
            yield from self._bridge(observation)
            yield self._take(observation), False
            return
        while observation.stamp_s >= (due_s := self._begin_s + self._count * self._period_s):
            best = self._pending or self._last
            if abs(observation.stamp_s - due_s) <= abs(best.stamp_s - due_s):
                best = observation
            yield self._take(best), best is not observation and best is not self._pending
        self._pending = observation

    def _bridge(self, observation: Observation) -> Iterator[tuple[Observation, bool]]:
        last = self._last
        assert last is not None
        span_s = observation.stamp_s - last.stamp_s
        missing = round(span_s / self._period_s) - 1
        for k in range(1, missing + 1):
            u = k / (missing + 1)
            state = blend_state(last.state, observation.state, u)
            yield self._take(Observation(last.stamp_s + u * span_s, last.images, state)), True

    def _take(self, observation: Observation) -> Observation:
        self._last, self._count = observation, self._count + 1
        return observation

    def _elapsed(self) -> float:
        return self._last.stamp_s - self._begin_s if self._last else 0.0


def convert_bag(
    path: Path, out: Path, choice: Choice, tick: Callable[[], object] = lambda: None
) -> Outcome:
    """Appends a bag to a dataset, unless it is there already.

    Args:
        path: the bag.
        out: the dataset.
        choice: what differs from what the bag says.
        tick: called for every message.

    Returns:
        What became of it; a bag that cannot be used is an outcome, not an exception.
    """
    try:
        with Bag(path) as bag:
            contract = choice.contract or bag.contract()
            task = choice.task or bag.labels.get("task", "")
            if not task:
                raise BagError(f"{path} does not say what was done: name it with --task")
            if bag.labels.get("verdict") == "broken" and not choice.broken:
                findings = json.loads(bag.labels.get("audit", "{}")).get("findings", [])
                raise BagError(
                    f"{path} was marked broken ({'; '.join(findings)}): record it again, or take "
                    "it as it is with --broken"
                )
            kind = contract.action.kind if contract else "ee_pose"
            period_s = contract.control_period_s if contract else 0.05
            with EpisodeWriter(
                out, task=task, action_kind=kind, control_period_s=period_s
            ) as writer:
                if bag.labels.get("id", path.name) in writer.notes("bag_id"):
                    return Outcome(path, there=True)
                return convert(bag, writer, choice, tick)
    except VilpError as error:
        return Outcome(path, error=str(error))


def convert(
    bag: Bag,
    writer: EpisodeWriter,
    choice: Choice,
    tick: Callable[[], object] = lambda: None,
) -> Outcome:
    """Appends a bag to a dataset, holding one chunk of images in memory.

    Raises:
        VilpError: the bag cannot be used; the dataset is as before.
    """
    reader, outcome = BagReader(bag, choice), Outcome(bag.path)
    told = reader.has_commands and choice.role != "action_free"
    if bag.labels.get("role") == "action_free" and not choice.role:
        told = False
    frames, stream = Frames(reader.contract, bag.path), writer.stream()
    stamps: list[float] = []
    states: list[RobotState] = []
    fillers: list[bool] = []
    try:
        for observation in reader.observations(tick):
            for frame, filler in frames.add(observation):
                if told and not reader.commands.before(frame.stamp_s):
                    continue  # nobody has told the arm anything yet
                stamps.append(frame.stamp_s)
                states.append(frame.state)
                fillers.append(filler)
                stream.append(frame.images)
        reader.check_refused()
        outcome.notes = reader.complaints()
        end = len(stamps)
        if told and reader.commands.stamps:
            end = bisect.bisect_right(stamps, reader.commands.stamps[-1] + AFTER_S)
        if end < 2:
            raise DatasetError(_why_empty(bag, reader, told))
        episode = _episode(
            reader, choice, stamps[:end], states[:end], np.array(fillers[:end]), told
        )
    except VilpError:
        stream.discard()
        raise
    stream.finish(episode)
    outcome.steps, outcome.role = len(episode), episode.role
    action = reader.contract.action
    if not told and action.sends != action.kind:
        outcome.notes.append(
            f"commands went out as {action.sends}, actions of the contract are {action.kind}: "
            "converted without actions"
        )
    if filled := int(np.sum(fillers[:end])):
        outcome.notes.append(f"{filled} frames stand in for lost ones")
    return outcome


def _why_empty(bag: Bag, reader: BagReader, told: bool) -> str:
    why = "views and state are never within slop of each other"
    if told:
        why = "no frame came after the first command"
    return f"{bag.path} gives no control period: {why}; delete it or record it again"


def _episode(
    reader: BagReader,
    choice: Choice,
    stamps: list[float],
    states: list[RobotState],
    fillers: np.ndarray,
    told: bool,
) -> Episode:
    labels, commands = reader.bag.labels, reader.commands
    widths = np.array([state.gripper_width for state in states])
    joints = np.stack([state.joint_position for state in states])
    who = [commands.commander(stamp) for stamp in stamps[:-1]] if told else []
    outcome = labels.get("outcome", "unlabelled")
    role = choice.role or _role(labels, who, outcome, told)
    pushed = fillers[:-1] | fillers[1:]
    if told:
        pushed = pushed | np.array([w == NOISE for w in who])
    if role == "correction":
        pushed = pushed | np.array([w != HUMAN for w in who])
    return Episode(
        images={},
        ee_pose=np.stack([state.ee_pose for state in states]),
        gripper_width=widths,
        joint_position=joints,
        joint_velocity=np.gradient(joints, reader.contract.control_period_s, axis=0),
        actions=np.stack([commands.action(s, widths[0]) for s in stamps[:-1]]) if told else None,
        disturbed=pushed,
        role=role,
        success=outcome == "success",
        seed=int(labels.get("seed", -1)),
        info={
            "bag": reader.bag.path.name,
            "bag_id": labels.get("id", reader.bag.path.name),
            "outcome": outcome,
            "verdict": labels.get("verdict", "unknown"),
            "commanders": json.dumps(Counter(who)),
            "seconds": stamps[-1] - stamps[0],
            **_note(labels),
        },
    )


def _role(labels: Mapping[str, str], who: list[str], outcome: str, told: bool) -> str:
    if not told:
        return "action_free"
    if HUMAN in who and POLICY in who:
        return "correction"
    noted = labels.get("role", "expert")
    return "suboptimal" if noted == "expert" and outcome == "failure" else noted


def _note(labels: Mapping[str, str]) -> dict[str, float | int | str]:
    """The note, key by key where it is a JSON object."""
    note = labels.get("note", "")
    try:
        body = json.loads(note)
    except ValueError:
        return {"note": note} if note else {}
    if not isinstance(body, dict):
        return {"note": note}
    return {key: value for key, value in body.items() if isinstance(value, (int, float, str))}
