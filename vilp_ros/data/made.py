"""What an episode was made of, and by what: none is made twice, or half in another way.

Both are a note in its `info`, a JSON object. Episodes of before have none, and are taken as they
are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vilp_ros.contract import Arm, Contract
from vilp_ros.data.digest import digest_files
from vilp_ros.data.episode import Episode
from vilp_ros.data.mapping.column_map import ColumnMap
from vilp_ros.errors import VilpError
from vilp_ros.share import find_shared

BAG_NOTE, IMPORT_NOTE = "made_of_bag", "made_of_import"

_NO_NUMBERS = ("limits", "safe_action", "info_topic", "reliability", "depth", "gripper_effort")
"""Keys of a contract, or of its parts, that change nothing in an episode."""
_ONE_BAG = ("staleness_s", "rate_hz", "type", "encoding", "camera_size", "transport", "gripper")
"""Keys that say how a bag is read: two bags of a robot may differ in them, and in topics."""


def of_contract(contract: Contract) -> dict[str, Any]:
    """What of a contract changes an episode, key by key."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(contract)))
    for part in (found, *found["views"].values(), found["action"]):
        for key in _NO_NUMBERS:
            part.pop(key, None)
    if isinstance(contract.arm, Arm):
        found["arm"]["urdf"] = _with_content(contract.arm.urdf, find_shared)
    return found


def between_bags(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What of `of_contract` all bags of a robot must agree on in one dataset."""
    return {
        key: between_bags(value) if isinstance(value, dict) else value
        for key, value in contract.items()
        if not (key in _ONE_BAG and not isinstance(value, dict)) and not key.endswith("topic")
    }


def of_map(column_map: ColumnMap | None) -> dict[str, Any] | None:
    """A map, key by key; without the task, which the dataset holds."""
    if column_map is None:
        return None
    found: dict[str, Any] = json.loads(json.dumps(asdict(column_map), default=str))
    del found["task"], found["folder"]
    if (joints := column_map.joints) is not None and joints.urdf is not None:
        where = column_map.folder / joints.urdf.path
        found["joints"]["urdf"]["path"] = _with_content(joints.urdf.path, lambda _: where)
    return found


def difference(before: Any, now: Any, key: str = "") -> str:
    """The first key that differs and its two values, as a phrase; empty if none does.

    A key that only one of them has is one that a version did not know, except of views.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        if key.rpartition(".")[2] == "views" and set(before) != set(now):
            return f"{key} were {sorted(before)}, now {sorted(now)}"
        for name in before:
            inner = f"{key}.{name}" if key else name
            if name in now and (found := difference(before[name], now[name], inner)):
                return found
        return ""
    return "" if before == now else f"{key} was {_words(before)}, now {_words(now)}"


def notes_in(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Notes as `note` writes them."""
    return [json.loads(text) for text in texts]


def note(body: Mapping[str, Any]) -> str:
    """What is kept in `info`."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def without_notes(episode: Episode) -> Episode:
    """The episode as others get it: how it was made here, and where from, is of no use to them."""
    kept = {k: v for k, v in episode.info.items() if k not in (BAG_NOTE, IMPORT_NOTE)}
    return replace(episode, info=kept)


def _with_content(name: str, find: Callable[[str], Path]) -> str:
    """A file's name, and what tells its content from another's."""
    try:
        return f"{name} (content {digest_files([find(name)])[:8]})"
    except (OSError, VilpError):  # who needs it says so
        return name


def _words(value: Any) -> str:
    found = json.dumps(value)
    return "none" if value in (None, "") else found if len(found) <= 120 else f"{found[:117]}..."
