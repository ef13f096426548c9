"""Bags converted on many machines: each becomes an episode there, and one process writes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from vilp_ros.cluster import Cluster
from vilp_ros.data.bag import Bag
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import Outcome, convert_bag, is_there
from vilp_ros.data.episode import Episode
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.made import BAG_NOTE, notes_in
from vilp_ros.data.made_bags import MadeBags, bag_note
from vilp_ros.errors import VilpError


class Made(NamedTuple):
    """An episode, and of which file it may become a part: arguments of `EpisodeWriter`."""

    episode: Episode
    form: dict[str, Any]


def convert_apart(
    paths: Sequence[Path], out: Path, choice: Choice, cluster: Cluster
) -> Iterator[Outcome]:
    """Appends bags to a dataset, in their order, as `convert_bag` does one by one.

    An episode is held in memory, and as many as two for each call that the cluster may run.

    Args:
        paths: the bags; every node sees them there.
        out: the dataset.
        choice: what differs from what the bags say.
        cluster: whose processes convert.

    Yields:
        What became of each.
    """
    made: MadeBags | None = None
    if out.is_file():
        with closing(EpisodeFile(out)) as file:
            made = MadeBags(file, out)
    waiting: deque[Future[tuple[Outcome, Made | None]]] = deque()
    for path in paths:
        waiting.append(cluster.submit(_convert, path, out, choice, made))
        if len(waiting) >= 2 * cluster.slots:
            yield _keep(out, *waiting.popleft().result())
    while waiting:
        yield _keep(out, *waiting.popleft().result())


def _convert(
    path: Path, out: Path, choice: Choice, made: MadeBags | None
) -> tuple[Outcome, Made | None]:
    try:
        with Bag(path) as bag:
            now = bag_note(bag, choice, choice.contract or bag.contract())
            if made is not None and is_there(bag, now, made, out):
                return Outcome(path, there=True), None
    except VilpError as error:
        return Outcome(path, error=str(error)), None
    with TemporaryDirectory() as folder:
        alone = Path(folder, "bag.hdf5")
        outcome = convert_bag(path, alone, choice)
        if not outcome.steps:
            return outcome, None
        with closing(EpisodeFile(alone)) as file:
            form = {
                "task": file.task,
                "action_kind": file.action_kind,
                "control_period_s": file.control_period_s,
                "depth_range_m": dict(file.depth_range_m),
            }
            return outcome, Made(file[0], form)


def _keep(out: Path, outcome: Outcome, made: Made | None) -> Outcome:
    if made is None:
        return outcome
    try:
        with EpisodeWriter(out, **made.form) as writer:
            (now,) = notes_in([str(made.episode.info[BAG_NOTE])])
            if MadeBags(writer, out).holds(now, outcome.path):  # twice among the paths
                return Outcome(outcome.path, there=True)
            writer.add(made.episode)
    except VilpError as error:
        return Outcome(outcome.path, error=str(error))
    return outcome
