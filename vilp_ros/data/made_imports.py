"""Which episodes of other projects a dataset holds already, and by which map they were made."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from vilp_ros.data.columns import Import
from vilp_ros.data.digest import digest
from vilp_ros.data.episode import Episode
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.hdf5 import DatasetError
from vilp_ros.data.made import IMPORT_NOTE, difference, note, notes_in


class MadeImports:
    """What a dataset holds of other projects.

    Args:
        out: the dataset, which need not exist.
        by_map: `of_map` of the map that is used now.
        rest: whether the standing still is kept now.
    """

    def __init__(self, out: Path, by_map: dict[str, Any] | None, rest: bool) -> None:
        self._out, self._by = out, {"map": by_map, "rest": rest}
        self._notes: list[dict[str, Any]] = []
        if out.is_file():
            with closing(EpisodeFile(out)) as file:
                self._notes = notes_in(file.notes(IMPORT_NOTE))

    def check(self, source: Path) -> None:
        """Raises DatasetError where episodes of this very source were made in another way."""
        for one in self._notes:
            if one["source"] == str(source.resolve()):
                self._compare(one, str(source))

    def holds(self, found: Import) -> bool:
        """Whether it is there, wherever it lay then.

        Raises:
            DatasetError: it is, and was made in another way.
        """
        alike = [one for one in self._notes if one["id"] == found.id]
        for one in alike:
            self._compare(one, found.where)
        return bool(alike) and _pictures(found.episode) in {one["pictures"] for one in alike}

    def noted(self, found: Import, source: Path) -> Episode:
        """The episode with a note of what it was made of, and by what."""
        body = {
            "id": found.id,
            "pictures": _pictures(found.episode),
            "source": str(source.resolve()),
            "by": self._by,
        }
        self._notes.append(body)
        return replace(found.episode, info={**found.episode.info, IMPORT_NOTE: note(body)})

    def _compare(self, before: dict[str, Any], what: str) -> None:
        if differs := difference(before["by"], self._by):
            raise DatasetError(
                f"{self._out} holds episodes of {what} that were made in another way: {differs}; "
                "choose another --out"
            )


def _pictures(episode: Episode) -> str:
    """Of a map that is the same: tells recordings from each other whose numbers are alike."""
    return digest(part for view in sorted(episode.images) for part in (view, episode.images[view]))
