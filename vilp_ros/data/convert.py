"""From bags to episodes: the observations that the robot would have had, and what it was told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.bag_reader import BagReader, Choice
from vilp_ros.data.commands import HUMAN, NOISE, POLICY
from vilp_ros.data.episodes import DatasetError, Episode, EpisodeWriter
from vilp_ros.data.frames import Frame, Frames
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
            if bag.labels.get("verdict") == "broken" and not choice.broken:
                findings = json.loads(bag.labels.get("audit", "{}")).get("findings", [])
                raise BagError(
                    f"{path} was marked broken ({'; '.join(findings)}): record it again, or take "
                    "it as it is with --broken"
                )
            form = _form(contract) if contract else {}
            with EpisodeWriter(out, task=task, **form) as writer:
                if bag.labels.get("id", path.name) in writer.notes("bag_id"):
                    return Outcome(path, there=True)
                return convert(bag, writer, choice, tick)
    except VilpError as error:
        if fresh:
            out.unlink(missing_ok=True)  # a dataset without an episode is of no use
        return Outcome(path, error=str(error))


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
    frames, stream = Frames(reader.contract, bag.path), writer.stream()
    kept: list[Frame] = []
    try:
        for observation in reader.observations(tick):
            for frame in frames.add(observation):
                if told and not reader.commands.before(frame.stamp_s):
                    continue  # nobody has told the arm anything yet
                stream.append(frame.images)
                kept.append(frame._replace(images={}))
        reader.check_refused()
        outcome.notes = reader.complaints()
        if bag.labels.get("repaired"):
            outcome.notes.append("was cut off and repaired: is the demonstration whole?")
        if told and reader.commands.stamps:
            end_s = reader.commands.stamps[-1] + AFTER_S
            kept = [frame for frame in kept if frame.stamp_s <= end_s]
        if len(kept) < 2:
            raise DatasetError(_why_empty(bag, told))
        episode = _episode(reader, choice, kept, told)
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
    if filled := sum(frame.filler for frame in kept):
        outcome.notes.append(f"{filled} frames stand in for lost ones")
    return outcome


def _why_empty(bag: Bag, told: bool) -> str:
    why = "views and state are never within slop of each other"
    if told:
        why = "no frame came after the first command"
    return f"{bag.path} gives no control period: {why}; delete it or record it again"


def _episode(reader: BagReader, choice: Choice, kept: list[Frame], told: bool) -> Episode:
    labels, commands = reader.bag.labels, reader.commands
    stamps, fillers = [frame.stamp_s for frame in kept], np.array([f.filler for f in kept])
    widths = np.array([frame.state.gripper_width for frame in kept])
    joints = np.stack([frame.state.joint_position for frame in kept])
    before = [frame.before or frame.state for frame in kept]
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
        ee_pose=np.stack([frame.state.ee_pose for frame in kept]),
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
        before=np.stack([state.as_action("ee_pose") for state in before]),
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
