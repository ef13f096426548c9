"""`policy.yaml`: what a bundle is, read before any weight is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.layout import Layout, layout_of

METHODS = ("ldp", "vilp", "bc")


@dataclass
class BundleSpec:
    """Contents of `policy.yaml`.

    Attributes:
        name: the bundle's name.
        task: simulator task that it was trained for.
        views: view name to (height, width) of the frames that it takes.
        action_kind: `ee_pose`.
        control_period_s: seconds between two actions.
        policy: architecture and run-time settings.
        depth_range_m: (near, far) of each depth view, of which its greys are made.
        provenance: data, commit, seeds, wall times and metrics of the training.
    """

    name: str
    task: str
    views: dict[str, tuple[int, int]]
    action_kind: str
    control_period_s: float
    policy: PolicyConfig
    depth_range_m: dict[str, tuple[float, float]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """`ldp`, `vilp` or `bc`."""
        return self.policy.method

    @property
    def horizon(self) -> int:
        """Future rows of a plan, T."""
        return self.policy.horizon

    @property
    def n_action_steps(self) -> int:
        """Actions executed per plan, N_e."""
        return self.policy.n_action_steps

    @property
    def layout(self) -> Layout:
        """What the numbers of a state are."""
        return layout_of(self.policy, self.views)

    @property
    def n_actions(self) -> int:
        """Actions per plan, one a control period."""
        return self.policy.horizon * self.policy.frame_interval

    @property
    def row_period_s(self) -> float:
        """Seconds from one row of a plan to the next."""
        return self.policy.frame_interval * self.control_period_s

    @property
    def plan_shape(self) -> tuple[int, int, int]:
        """Rows, tokens per row and channels of a plan on the wire."""
        rows = 1 if self.method == "bc" else self.horizon + 1
        return rows, 1, self.layout.row_dim

    def save(self, folder: Path) -> None:
        """Writes `policy.yaml`."""
        body = {
            "name": self.name,
            "task": self.task,
            "views": {view: list(size) for view, size in self.views.items()},
            "action_kind": self.action_kind,
            "control_period_s": self.control_period_s,
            "policy": OmegaConf.to_container(OmegaConf.structured(self.policy)),
            "depth_range_m": {view: list(r) for view, r in self.depth_range_m.items()},
            "provenance": self.provenance,
        }
        (folder / "policy.yaml").write_text(yaml.safe_dump(body, sort_keys=False))


def load_spec(bundle: str | Path) -> BundleSpec:
    """Reads and checks `policy.yaml` of a bundle folder.

    Raises:
        VilpError: no such bundle, or a key is missing, unknown or of the wrong type.
    """
    path = Path(bundle) / "policy.yaml"
    if not path.is_file():
        places = {Path(bundle).parent, Path("models")}
        found = sorted({str(p.parent) for place in places for p in place.glob("*/policy.yaml")})
        there = ", ".join(found) or "none here nor in models/"
        raise VilpError(f"no bundle at {bundle} (no policy.yaml); there are: {there}")
    try:
        body = yaml.safe_load(path.read_text())
        policy = OmegaConf.to_object(
            OmegaConf.merge(OmegaConf.structured(PolicyConfig), body.pop("policy"))
        )
        views = {view: (int(h), int(w)) for view, (h, w) in body.pop("views").items()}
        ranges = {v: (float(n), float(f)) for v, (n, f) in body.pop("depth_range_m", {}).items()}
        spec = BundleSpec(views=views, policy=policy, depth_range_m=ranges, **body)  # type: ignore[arg-type]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise VilpError(f"{path} is no policy description: {error}") from error
    except OmegaConfBaseException as error:
        raise VilpError(f"{path}: {str(error).splitlines()[0]}") from error
    if spec.method not in METHODS:
        raise VilpError(f"{path}: method {spec.method!r}; available: {', '.join(METHODS)}")
    return spec
