"""Whether a bundle is judged on scenes that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vilp_ros.data.seeds import VALIDATION_SEEDS, within
from vilp_ros.policy.spec import BundleSpec


@dataclass(frozen=True)
class Learned:
    """Of the seeds that a bundle is judged on, those that it was, or may have been, trained on.

    Attributes:
        seeds: they.
        known: whether the bundle says what it was trained on; older ones do not.
        judged: on how many.
    """

    seeds: list[int]
    known: bool
    judged: int

    @classmethod
    def of(cls, spec: BundleSpec, task: str, seeds: Sequence[int]) -> Learned:
        """Looks in `provenance.seeds`; without it all below those of the validation count.

        Args:
            spec: of the bundle.
            task: that it is judged on; another one than its own places other objects.
            seeds: of the episodes; below 0 are those that have none.
        """
        ranges = (spec.provenance or {}).get("seeds")
        suspects = ranges if isinstance(ranges, list) else [[0, VALIDATION_SEEDS - 1]]
        found = within(seeds, suspects)
        return cls(found if task == spec.task else [], isinstance(ranges, list), len(seeds))

    def __str__(self) -> str:
        """A warning, or nothing."""
        if not self.seeds:
            return ""
        of = f"{len(self.seeds)} of {self.judged} episodes"
        if self.known:
            return f"{of} are of seeds that this bundle was trained on: this is not the unseen"
        return (
            f"{of} are of seeds below {VALIDATION_SEEDS}, and this bundle does not say which it "
            "was trained on: they may be among them"
        )
