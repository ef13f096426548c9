"""What a verb says of episodes that its bundle was trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vilp_ros.policy.spec import BundleSpec


def note_learned(spec: BundleSpec, task: str, seeds: Sequence[int], report: dict[str, Any]) -> str:
    """Notes in the report which of the episodes the bundle was trained on; says so, or nothing."""
    from vilp_ros.evaluation.learned_seeds import Learned

    learned = Learned.of(spec, task, seeds)
    report["learned_seeds"] = learned.seeds
    return str(learned)


def warn(said: str) -> None:
    """Tells the user, unless there is nothing to tell."""
    if said:
        print(f"vilp: {said}", file=sys.stderr)
