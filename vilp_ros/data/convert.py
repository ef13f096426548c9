"""From bags to episodes: the observations that the robot would have had, and what it was told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.audit import still_true
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.bag_reader import BagReader, Choice
from vilp_ros.data.commands import HUMAN, NOISE, POLICY
from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.frames import Frame
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.judge import doubts
from vilp_ros.data.made import BAG_NOTE, note
from vilp_ros.data.made_bags import MadeBags, bag_note
from vilp_ros.data.rest import Rest
from vilp_ros.errors import VilpError

AFTER_S = 0.5
"""How long after the last command an episode goes on."""


@dataclass
class Outcome:
    """What became of one bag."""

    path: Path
    steps: int = 0
    role: str = ""
    notes: list[str] = field(default_factory=list)
    error: str = ""
    there: bool = False


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
    fresh = not out.exists()
    try:
        with Bag(path) as bag:
            contract = choice.contract or bag.contract()
            task = choice.task or bag.labels.get("task", "")
            if not task:
                raise BagError(f"{path} does not say what was done: name it with --task")
            if (found := _findings(bag)) and not choice.broken:
                findings = "; ".join(found)
                raise BagError(
                    f"{path} was marked broken ({findings}): record it again, or take "
                    "it as it is with --broken"
                )
            form = _form(contract) if contract else {}
            with EpisodeWriter(out, task=task, **form) as writer:
                if is_there(bag, bag_note(bag, choice, contract), MadeBags(writer, out), out):
                    return Outcome(path, there=True)
                return convert(bag, writer, choice, tick)
    except VilpError as error:
        if fresh:
            out.unlink(missing_ok=True)  # a dataset without an episode is of no use
        return Outcome(path, error=str(error))


def is_there(bag: Bag, note: dict[str, Any], made: MadeBags, out: Path) -> bool:
    """Whether a dataset that holds these bags holds this one.

    Raises:
        BagError: it may be, under an older name; or `MadeBags.holds` raises it.
    """
    if not bag.labels.get("id") and bag.path.name in made.ids:
        raise BagError(
            f"{out} was begun by a version that knew a bag by its folder's name, and holds a "
            f"{bag.path.name}: choose another --out"
        )
    return made.holds(note, bag.path)


def _findings(bag: Bag) -> list[str]:
    """Why the audit marked a bag broken; empty if it did not."""
    if bag.labels.get("verdict") != "broken":
        return []
    findings = bag.audit.get("findings", [])
    return still_true(findings) if findings else ["it does not say why"]


def _form(contract: Contract) -> dict[str, Any]:
    """What an `EpisodeWriter` must know of the robot."""
    views = contract.views.items()
    return {
        "action_kind": contract.action.kind,
        "control_period_s": contract.control_period_s,
        "depth_range_m": {name: r for name, view in views if (r := view.depth_range_m)},
    }


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
    contract, commands = reader.contract, reader.commands
    rest, stream = Rest(contract.action.kind, contract.control_period_s), writer.stream()
    kept: list[Frame] = []

    def keep(frames: Iterable[Frame]) -> None:
        for frame in frames:
            stream.append(frame.images)
            kept.append(frame._replace(images={}))

    try:
        for frame in reader.frames(tick):
            if told and not commands.before(frame.stamp_s):
                continue  # nobody has told the arm anything yet
            target = commands.action(frame.stamp_s, frame.state.gripper_width) if told else None
            keep([frame] if choice.rest else rest.begin(frame, target))
        keep(rest.end())
        reader.check(told)
        outcome.notes = reader.complaints(told)
        if bag.labels.get("repaired"):
            outcome.notes.append("was cut off and repaired: is the demonstration whole?")
        if told and commands.stamps:
            end_s = commands.stamps[-1] + AFTER_S
            kept = [frame for frame in kept if frame.stamp_s <= end_s]
        if len(kept) < 2:
            raise DatasetError(_why_empty(bag, told, rest))
        episode = _episode(reader, choice, kept, told, rest)
        wrong, odd = doubts(episode, contract)
        if wrong and not choice.broken:
            raise BagError(f"{bag.path}: {'; '.join(wrong)}; --broken takes it as it is")
        outcome.notes += wrong + odd
        episode.check(contract.action.kind, str(bag.path))
    except VilpError:
        stream.discard()
        raise
    stream.finish(episode)
    outcome.steps, outcome.role = len(episode), episode.role
    outcome.notes += _notes(reader, kept, episode, told)
    return outcome


def _why_empty(bag: Bag, told: bool, rest: Rest) -> str:
    why, cure = "views and state never belong to one time", "compare the clocks of their stamps"
    if told:
        why, cure = "no frame came after the first command", "it stays as it is, none of it is used"
    if rest.seconds:
        why, cure = "the arm stands still from its beginning to its end", "--rest takes it as it is"
    return f"{bag.path} gives no control period: {why}; {cure}"


def _notes(reader: BagReader, kept: list[Frame], episode: Episode, told: bool) -> list[str]:
    """What whoever converts should know of a bag that was converted."""
    notes, action, contract = [], reader.contract.action, reader.contract
    if not told and action.sends != action.kind:
        notes.append(
            f"commands went out as {action.sends}, actions of the contract are {action.kind}: "
            "converted without actions"
        )
    if lost := sum(frame.lost for frame in kept):
        notes.append(f"{lost} frames stand in for lost ones")
    if slow := sum(frame.repeated and not frame.lost for frame in kept):
        control_hz, camera_hz = 1 / contract.control_period_s, 1 / reader.paced.period_s
        notes.append(
            f"{slow} of {len(kept)} frames repeat a picture: cameras gave {camera_hz:.1f} Hz, "
            f"control runs at {control_hz:g} Hz; no plan is learned from there"
        )
    if rest_s := episode.info.get("rest_s"):
        notes.append(f"{rest_s:.1f} s of standing still at its start left out; --rest keeps them")
    if measured := episode.info.get("width_measured_steps"):
        notes.append(
            f"the gripper was told nothing in {measured} of {len(episode)} steps: their action is "
            "the width measured a period later"
        )
    missed_s = reader.commands.stamps[-1] - kept[-1].stamp_s if told else 0.0
    if missed_s > contract.staleness_s:
        notes.append(f"no observation in the last {missed_s:.1f} s of its commands: left out")
    return notes


def _episode(
    reader: BagReader, choice: Choice, kept: list[Frame], told: bool, rest: Rest
) -> Episode:
    labels, commands = reader.bag.labels, reader.commands
    stamps, lost = [frame.stamp_s for frame in kept], np.array([f.lost for f in kept])
    repeated = np.array([frame.repeated for frame in kept])
    widths = np.array([frame.state.gripper_width for frame in kept])
    joints = np.stack([frame.state.joint_position for frame in kept])
    before = [frame.before or frame.state for frame in kept]
    who = [commands.commander(stamp) for stamp in stamps[:-1]] if told else []
    outcome = labels.get("outcome", "unlabelled")
    role = choice.role or _role(reader.bag, who, outcome, told)
    pushed = lost[:-1] | lost[1:]
    if told:
        pushed = pushed | np.array([w == NOISE for w in who])
    if role == "correction":
        pushed = pushed | np.array([w != HUMAN for w in who])
    # Of a gripper that was told nothing: where it will be is where it was sent, unless it is where
    # the first command moves it.
    ahead = [
        now if commands.grips(s) else then for s, now, then in zip(stamps[1:], widths, widths[1:])
    ]
    told_of = zip(stamps[:-1], ahead)
    silent = sum(not commands.grips(stamp) for stamp in stamps[:-1]) if told else 0
    return Episode(
        images={},
        ee_pose=np.stack([frame.state.ee_pose for frame in kept]),
        gripper_width=widths,
        joint_position=joints,
        joint_velocity=np.gradient(joints, reader.contract.control_period_s, axis=0),
        actions=np.stack([commands.action(*pair) for pair in told_of]) if told else None,
        disturbed=pushed,
        role=role,
        success=outcome == "success",
        seed=reader.bag.seed,
        info={
            "bag": reader.bag.path.name,
            "bag_id": reader.bag.id,
            BAG_NOTE: note(bag_note(reader.bag, choice, reader.contract)),
            "outcome": outcome,
            "verdict": labels.get("verdict", "unknown"),
            "commanders": json.dumps(Counter(who)),
            "seconds": stamps[-1] - stamps[0],
            **({"width_measured_steps": silent} if silent else {}),
            **({"rest_s": rest.seconds} if rest.seconds else {}),
            **_note(labels),
        },
        before=np.stack([state.as_action("ee_pose") for state in before]),
        repeated=repeated if repeated.any() else None,
    )


def _role(bag: Bag, who: list[str], outcome: str, told: bool) -> str:
    noted = bag.labels.get("role", "expert")
    if not told:
        what = noted if noted in ("suboptimal", "play") else outcome
        if what in ("suboptimal", "play", "failure"):
            raise DatasetError(
                f"{bag.path} has no commands and is noted as {what}: what its arm did teaches "
                "nothing; --role action_free makes it a demonstration all the same"
            )
        return "action_free"
    if HUMAN in who and POLICY in who and noted != "play":
        return "correction"
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
