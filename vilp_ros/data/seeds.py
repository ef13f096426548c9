"""Seeds that place objects: which of them were learned from, and which nobody may learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

VALIDATION_SEEDS = 600_000
"""From here on nothing is recorded for training: choices are made on these, figures from 700000."""


def as_ranges(seeds: Iterable[int]) -> list[list[int]]:
    """Seeds from 0 on as [first, last], rising; below 0 are episodes that have none."""
    ranges: list[list[int]] = []
    for seed in sorted({int(seed) for seed in seeds if seed >= 0}):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ranges


def within(seeds: Iterable[int], ranges: Sequence[Sequence[int]]) -> list[int]:
    """Those of `seeds` that lie in one of [first, last]."""
    return [seed for seed in seeds if any(first <= seed <= last for first, last in ranges)]
