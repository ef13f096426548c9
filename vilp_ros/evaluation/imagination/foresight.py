"""Does a large imagination gap early in an episode foretell its failure?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.canvas import Size
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.closed_loop.agents import PolicyAgent, PolicyRecipe
from vilp_ros.evaluation.closed_loop.rollout import EpisodeResult
from vilp_ros.evaluation.imagination.gap import GapTracker, Imagination, distance
from vilp_ros.evaluation.imagination.scene import SceneWatch
from vilp_ros.evaluation.statistics import auroc, auroc_interval
from vilp_ros.sim.env import Observation, SimEnv

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

MEASURES = ("latent", "pixels", "moved", "unlike")
ALARM_AT = 0.95
"""Share of the usual episodes, of those that set the threshold, that stay below it."""


@dataclass(frozen=True)
class GapRecipe:
    """A policy bundle whose imagination gaps are written down.

    Attributes:
        policy: the bundle.
    """

    policy: PolicyRecipe

    @property
    def views(self) -> dict[str, tuple[int, int]]:
        """Views of the bundle."""
        return self.policy.views

    @property
    def depth_range_m(self) -> dict[str, tuple[float, float]]:
        """(near, far) of the bundle's depth views."""
        return self.policy.depth_range_m

    def build(self, env: SimEnv) -> GapAgent:
        """Loads the bundle.

        Raises:
            VilpError: it imagines no frames.
        """
        return GapAgent(self.policy.load(), self.policy.noise_seed)


class GapAgent(PolicyAgent):
    """A policy that compares what it sees with what it had imagined, at each replan.

    Attributes:
        notes: of the episode, per replan `(step, latent, pixels, moved, unlike)`, the first three
            `(V,)` as in `Gap`, the last `(V,)` grey levels, root mean square, between the present
            picture and what the policy sees in it, decoded.
    """

    def __init__(self, policy: Policy, noise_seed: int = 0) -> None:
        super().__init__(policy, noise_seed)
        spec = policy.spec
        spec.require_frames()
        period_s = spec.control_period_s
        self._tracker = GapTracker(spec.plan_shape[0], spec.row_period_s, period_s / 2)

    def reset(self, seed: int) -> None:
        """New sampling noise, new notes."""
        super().reset(seed)
        self._tracker.clear()
        self._step = 0
        self.notes: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def act_chunk(self, obs: Observation, previous: Observation | None) -> np.ndarray:
        """The first actions of a new plan."""
        policy = self._policy
        spec = policy.spec
        plan = self._plan(obs, previous)
        images = np.array([obs.images[view] for view in spec.views])
        stamp_s = self._step * spec.control_period_s
        frames = policy.decode(plan)
        seen = Imagination(stamp_s, policy.latents(plan), images, frames)
        gap = self._tracker.observe(seen)
        if gap is not None and gap.pixels is not None:
            unlike = distance(frames[0], images)
            self.notes.append((self._step, gap.latent, gap.pixels, gap.moved, unlike))
        self._step += spec.n_action_steps
        return self._act(plan)


def foretell(results: Sequence[EpisodeResult], views: Sequence[str]) -> dict[str, Any]:
    """How well the gap of an episode's first half tells failures from successes.

    A failed episode is longer, so its first half is another part of the task. `equal_time` judges
    all episodes by the same periods instead: the first half of the median success.

    Args:
        results: episodes driven by a `GapAgent`.
        views: names of the views.

    Returns:
        `{episodes, failures, first_half, equal_time}`; both of `{measure: {auroc, interval_95,
        mean_success, mean_failure}}`. Measures: `latent` and `pixels` (mean of the views), the
        same of each view (`latent.<view>`), `unlike` (see `GapAgent`), and `moved`, the mere amount
        of change, which needs no imagination: a gap that foretells no better is no evidence. AUROC
        is None without both outcomes, the interval with fewer than `MIN_CLASS` of one. `equal_time`
        is None without a success.

    Raises:
        VilpError: no imagined frame ever fell on a replan.
    """
    if not any(result.notes for result in results):
        raise VilpError(
            "no imagined frame was due at a replan: let n_action_steps be a multiple of "
            "frame_interval and less than what a plan reaches"
        )
    won = [result.steps for result in results if result.success]
    halves = np.array([result.steps / 2 for result in results])
    return {
        "episodes": len(results),
        "failures": len(results) - len(won),
        "first_half": _table(results, halves, views),
        "equal_time": _table(results, np.full(len(results), np.median(won) / 2), views)
        if won
        else None,
    }


def alarm(
    usual: Sequence[EpisodeResult], varied: Sequence[EpisodeResult]
) -> dict[str, dict[str, Any]]:
    """Whether the first replans tell another scene, before the arm can fail in it.

    Half of the usual episodes set a threshold, the other half say how often it gives a false alarm.

    Args:
        usual: episodes in the scene of the training, driven by a `GapAgent`.
        varied: episodes in others.

    Returns:
        `{measure: {threshold, false_alarms, usual, told, varied, told_of_failures, failures}}`,
        counts but for the threshold; the measure is the mean of its first three values.
    """
    found = {}
    for i, measure in enumerate(MEASURES, 1):

        def first(results: Sequence[EpisodeResult], column: int = i) -> np.ndarray:
            return np.array([np.mean([n[column] for n in r.notes[:3]]) for r in results if r.notes])

        threshold = float(np.quantile(first(usual[::2]), ALARM_AT))
        false = first(usual[1::2]) > threshold
        told = first(varied) > threshold
        failed = np.array([not r.success for r in varied if r.notes])
        found[measure] = {
            "threshold": threshold,
            "false_alarms": int(false.sum()),
            "usual": len(false),
            "told": int(told.sum()),
            "varied": len(told),
            "told_of_failures": int(told[failed].sum()),
            "failures": int(failed.sum()),
        }
    return found


def warned(
    results: Sequence[EpisodeResult], views: Mapping[str, Size], limits: Mapping[str, float]
) -> dict[str, int] | None:
    """In how many episodes the robot would have said that the scene is unlike the training data.

    Args:
        results: episodes driven by a `GapAgent`; it looks once a replan, the planner node with each
            strip that it decodes.
        views: of the bundle.
        limits: `unlike_above` of the bundle.

    Returns:
        `{warned, episodes, failures_warned, failures}`; None of a bundle without limits.
    """
    if not limits:
        return None
    found = []
    for result in results:
        watch, said = SceneWatch(views, limits), False
        for note in result.notes:
            watch.add(note[4])
            said = said or watch.complaint() is not None
        found.append(said)
    failed = [said for said, result in zip(found, results, strict=True) if not result.success]
    return {
        "warned": sum(found),
        "episodes": len(found),
        "failures_warned": sum(failed),
        "failures": len(failed),
    }


def _table(
    results: Sequence[EpisodeResult], until: np.ndarray, views: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """A row for each measure; episodes with no gap before `until` are left out."""
    rows, failed = [], []
    for result, end in zip(results, until, strict=True):
        early = [note[1:] for note in result.notes if note[0] < end]
        if early:
            rows.append(np.mean(early, axis=0))  # (measures, V)
            failed.append(not result.success)
    if not rows:
        return {}
    scores, positive = np.stack(rows), np.array(failed)
    columns = {measure: scores[:, i].mean(-1) for i, measure in enumerate(MEASURES)}
    for i, measure in enumerate(MEASURES[:2]):
        columns |= {f"{measure}.{view}": scores[:, i, v] for v, view in enumerate(views)}
    return {
        name: {
            "auroc": auroc(score, positive),
            "interval_95": auroc_interval(score, positive),
            "mean_success": _mean(score[~positive]),
            "mean_failure": _mean(score[positive]),
        }
        for name, score in columns.items()
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
