"""The views of the simulator: which camera looks, and whether it sees colour or depth."""

from __future__ import annotations

from typing import NamedTuple


class SimView(NamedTuple):
    """One view.

    Attributes:
        camera: its name in the model.
        depth_range_m: (near, far) of a depth view, as in `config/robots/sim_panda_rgbd.yaml`.
    """

    camera: str
    depth_range_m: tuple[float, float] | None = None


VIEWS = {
    "agentview": SimView("agentview"),
    "eye_in_hand": SimView("robot0_eye_in_hand"),
    "agentview_depth": SimView("agentview", (0.4, 1.6)),
    "eye_in_hand_depth": SimView("robot0_eye_in_hand", (0.05, 0.6)),
}
COLOUR = ("agentview", "eye_in_hand")
"""What is rendered unless views are chosen."""
