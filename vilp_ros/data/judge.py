"""Is an episode of a bag what its contract promises? What no single message can tell."""

from __future__ import annotations

from collections.abc import Callable

from vilp_ros.contract import Contract
from vilp_ros.data.aim import aim
from vilp_ros.data.episode import Episode
from vilp_ros.data.grip import beside_limits, follow
from vilp_ros.errors import VilpError

_AIM = (
    "look at their unit (m, rad), the order of their quaternions (xyzw), the order of the joints' "
    "names, their frame and their clock"
)
_SIGN = "one of proprio.gripper_scale ({:g}) and what commands are recorded in has the wrong sign"


def doubts(episode: Episode, contract: Contract) -> tuple[list[str], list[str]]:
    """What forbids to use an episode, and what is only worth a word, a sentence each."""
    wrong: list[str] = []
    odd: list[str] = []
    for many, text in beside_limits(episode, contract):
        (wrong if many else odd).append(text)
    period_s, sign = contract.control_period_s, _SIGN.format(contract.proprio.gripper_scale)
    checks: tuple[Callable[[], str | None], ...] = (
        lambda: aim(episode, contract.action.kind, _AIM),
        lambda: follow(episode, period_s, sign),
    )
    for check in checks:
        try:
            odd += filter(None, [check()])
        except VilpError as error:
            wrong.append(str(error))
    return wrong, odd
