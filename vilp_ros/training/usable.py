"""Which steps each part of a method may learn from, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vilp_ros.data import windows
from vilp_ros.data.table import Table
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig


@dataclass(frozen=True)
class Usable:
    """Of some episodes of a table.

    Plans begin where a robot could have begun them: at a picture that had just come, and nothing
    ahead that nobody should imitate. Where a plan consists of pictures alone, a picture that comes
    twice says nothing of the movement between, so none of its frames may be one. Where it holds the
    proprioception too, a repeated picture is what a slow camera shows, and the movement is known.

    Attributes:
        planner: `(N,)` steps of expert and action-free episodes that plans are learned from.
        expert: steps of expert episodes that actions are learned from.
        suboptimal: steps of suboptimal ones.
        longest: control periods of the longest expert or action-free episode.
        steps: of expert and action-free episodes, in all.
        pushed: of these, how many have noise, a lost picture or another's command ahead.
        repeated: of the others, how many begin at a picture that came before, or need one.
    """

    planner: np.ndarray
    expert: np.ndarray
    suboptimal: np.ndarray
    longest: int
    steps: int
    pushed: int
    repeated: int

    @classmethod
    def of(
        cls, table: Table, episodes: np.ndarray, policy: PolicyConfig, pictures_only: bool
    ) -> Usable:
        """Chooses them.

        Args:
            table: images are not needed.
            episodes: indices of those to choose from.
            policy: horizon and frame interval.
            pictures_only: whether a plan holds no proprioception.
        """
        last = table.timeline.last_frame()
        horizon, interval = policy.horizon, policy.frame_interval
        needed = horizon if pictures_only else 0

        def steps(*roles: str) -> np.ndarray:
            return table.timeline.steps(np.intersect1d(episodes, table.episodes(*roles)))

        def new(chosen: np.ndarray) -> np.ndarray:
            return windows.fresh(chosen, table.repeated, last, needed, interval)

        imitated = np.intersect1d(episodes, table.episodes("expert", "action_free"))
        every = table.timeline.steps(imitated)
        calm = windows.undisturbed(every, table.disturbed, last, horizon * interval)
        planner, expert, suboptimal = new(calm), steps("expert"), steps("suboptimal")
        return cls(
            planner=planner,
            expert=new(expert) if pictures_only else expert,
            suboptimal=new(suboptimal) if pictures_only else suboptimal,
            longest=int(table.timeline.length[imitated].max(initial=0)),
            steps=len(every),
            pushed=len(every) - len(calm),
            repeated=len(calm) - len(planner),
        )

    def __str__(self) -> str:
        """A sentence with counts."""
        reasons = [
            f"{count} {why}"
            for count, why in (
                (self.pushed, "have noise, a lost picture or another's command ahead"),
                (self.repeated, "begin at, or need, a picture that the camera gave before"),
            )
            if count
        ]
        said = f"plans are learned from {len(self.planner)} of {self.steps} steps"
        return f"{said}: {', '.join(reasons)}" if reasons else said

    def check(self, policy: PolicyConfig) -> None:
        """Raises VilpError where a part would have nothing to learn from."""
        if not self.steps:
            raise VilpError(
                "no demonstration is left to learn from: all are held out; lower data.validation"
            )
        ahead = policy.horizon * policy.frame_interval
        if ahead > self.longest:
            raise VilpError(
                f"a plan looks {ahead} control periods ahead (policy.horizon x frame_interval), "
                f"the longest demonstration lasts {self.longest}: lower them, or record longer ones"
            )
        if not len(self.planner):
            cure = "record without them"
            if self.repeated:
                cure = "a camera as fast as control, or a contract of a longer control_period_s"
                if policy.frame_interval == 1:
                    cure = f"policy.frame_interval: 2, {cure}"
            raise VilpError(f"nothing to plan from: {self}; choose {cure}")
        if not len(self.expert) and not len(self.suboptimal):
            raise VilpError(
                "nothing to learn actions from: each labelled step begins at, or needs, a picture "
                "that the camera gave before; record play with a camera as fast as control"
            )
