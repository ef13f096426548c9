"""Which bags a dataset holds already, and by which contract and options they were converted."""

from __future__ import annotations

from typing import Any

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.episode_writer import EpisodeWriter
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.made import BAG_NOTE, between_bags, difference, notes_in, of_contract


def bag_note(bag: Bag, choice: Choice, contract: Contract | None) -> dict[str, Any]:
    """What an episode of a bag is made of, and by what.

    Args:
        bag: open.
        choice: what differs from what the bag says.
        contract: of its robot, where it is known.
    """
    return {
        "bag": bag.id,
        "content": bag.content,
        "by": {
            "task": choice.task or bag.labels.get("task", ""),
            "role": choice.role,
            "rest": choice.rest,
            "topics": sorted(f"{name}:={topic}" for name, topic in choice.topics.items()),
            **({"contract": of_contract(contract)} if contract else {}),
        },
    }


class MadeBags:
    """What a dataset holds of bags.

    Args:
        dataset: open.
        out: what errors call it.
    """

    def __init__(self, dataset: EpisodeFile | EpisodeWriter, out: object) -> None:
        self.ids, self._out = dataset.notes("bag_id"), out
        self._notes = notes_in(dataset.notes(BAG_NOTE))

    def holds(self, now: dict[str, Any], path: object) -> bool:
        """Whether a bag is there, wherever it lay then.

        Args:
            now: its `bag_note`.
            path: what errors call it.

        Raises:
            BagError: it is there as it was before it was changed, or made in another way; or it is
                new, and others of its robot were made by another contract.
        """
        for before in self._notes:
            if before["bag"] == now["bag"]:
                self._compare(before, now, path)
                return True
        # A version before this one knew a bag of other recorders by its times and count alone.
        if {now["bag"], now["bag"].removesuffix(f":{now['content']}")} & self.ids:
            return True
        for before in self._notes:
            self._compare_robots(before["by"]["contract"], now["by"].get("contract"), path)
        return False

    def _compare(self, before: dict[str, Any], now: dict[str, Any], path: object) -> None:
        if before["content"] != now["content"]:
            raise BagError(
                f"{self._out} holds {path} with other messages, from before it was changed: "
                "choose another --out"
            )
        if differs := difference(before["by"], now["by"]):
            raise BagError(
                f"{self._out} holds {path}, converted in another way: {differs}; choose another "
                "--out"
            )

    def _compare_robots(
        self, before: dict[str, Any], now: dict[str, Any] | None, path: object
    ) -> None:
        if now is None or before == now or before["robot"] != now["robot"]:
            return
        if differs := difference(between_bags(before), between_bags(now)):
            raise BagError(
                f"{path}: {self._out} holds bags of {now['robot']} that were converted by another "
                f"contract: {differs}; choose another --out"
            )
