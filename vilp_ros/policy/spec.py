"""`policy.yaml`: what a bundle is, read before any weight is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vilp_ros.canvas import Size
from vilp_ros.contract import ACTION_KINDS
from vilp_ros.contract.readers import parse_yaml, read
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig, choose
from vilp_ros.policy.layout import Layout
from vilp_ros.policy.registry import METHODS

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

PERIOD_S = (0.001, 1.0)
"""Shortest and longest control period, as of a contract."""


@dataclass
class BundleSpec:
    """Contents of `policy.yaml`.

    Attributes:
        name: the bundle's name.
        task: simulator task that it was trained for.
        views: view name to (height, width) of the frames that it takes.
        action_kind: what its actions are, of `vilp_ros.contract.ACTION_KINDS`.
        control_period_s: seconds between two actions.
        policy: architecture and run-time settings.
        depth_range_m: (near, far) of each depth view, of which its greys are made.
        unlike_above: by view, root mean square grey levels between a frame and itself decoded, from
            which on a scene is unlike the training data; empty where it was not measured.
        provenance: data, commit, seeds, wall times and metrics of the training.
        package: name and version of the package whose method wrote the weights.
        method_version: which of the method's `versions` they are.
    """

    name: str
    task: str
    views: dict[str, Size]
    action_kind: str
    control_period_s: float
    policy: PolicyConfig
    depth_range_m: dict[str, tuple[float, float]] = field(default_factory=dict)
    unlike_above: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    package: str = "vilp_ros"
    method_version: int = 1

    @property
    def method(self) -> str:
        """Name of the method, see `vilp_ros.policy.registry`."""
        return self.policy.method

    @property
    def method_class(self) -> type[Policy]:
        """The method itself; imports torch.

        Raises:
            VilpError: it cannot be imported, or cannot run what another version of it wrote.
        """
        method = METHODS.find(self.method)
        if self.method_version not in method.versions:
            known = ", ".join(map(str, method.versions))
            raise VilpError(
                f"bundle {self.name} was made by version {self.method_version} of method "
                f"{self.method!r} ({self.package}); here is {METHODS.package(self.method)}, which "
                f"runs {known}: install the package that made it"
            )
        return method

    def check(self) -> None:
        """Raises VilpError naming the first entry that no bundle can have."""
        self.policy.check()
        choose("action_kind", self.action_kind, ACTION_KINDS)
        low, high = PERIOD_S
        period = self.control_period_s
        if not (isinstance(period, float | int) and low <= period <= high):
            raise VilpError(f"control_period_s is {period!r}, expected {low:g} to {high:g} s")
        for view, size in self.views.items():
            if min(size) < 1:
                raise VilpError(f"views: {view} is {size[0]}x{size[1]}, expected height and width")
        for view, (near, far) in self.depth_range_m.items():
            if not 0 <= near < far < math.inf:
                raise VilpError(
                    f"depth_range_m: {view} is {near:g} to {far:g} m, expected near before far"
                )

        for view, level in self.unlike_above.items():
            if view not in self.views or not 0 < level < math.inf:
                raise VilpError(f"unlike_above: {view} is {level!r}, expected a view's grey levels")

    def require_states(self) -> None:
        """Checks that plans hold states, between which `Policy.act` finds the actions.

        Raises:
            VilpError: they do not.
        """
        if not self.method_class.plans_states:
            raise VilpError(
                f"plans of method {self.method!r} hold no states to come, so that there is no "
                "inverse dynamics to look at: take a bundle of another method, such as ldp or vilp"
            )

    def require_frames(self) -> None:
        """Checks that plans can be decoded to frames to come.

        Raises:
            VilpError: they cannot.
        """
        if not self.views:
            raise VilpError("this bundle imagines no frames: it has no views")
        if not self.method_class.plans_states:
            raise VilpError(f"this bundle imagines no frames: its method is {self.method!r}")

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
        return self.method_class.layout(self.policy, self.views)

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
        return self.method_class.plan_shape(self)

    def save(self, folder: Path) -> None:
        """Writes `policy.yaml`, with the version and the package of the method as installed."""
        body = {
            "name": self.name,
            "package": METHODS.package(self.method),
            "method_version": self.method_class.versions[-1],
            "task": self.task,
            "views": {view: list(size) for view, size in self.views.items()},
            "action_kind": self.action_kind,
            "control_period_s": self.control_period_s,
            "policy": OmegaConf.to_container(OmegaConf.structured(self.policy)),
            "depth_range_m": {view: list(r) for view, r in self.depth_range_m.items()},
            "unlike_above": self.unlike_above,
            "provenance": self.provenance,
        }
        (folder / "policy.yaml").write_text(yaml.safe_dump(body, sort_keys=False))


def load_spec(bundle: str | Path) -> BundleSpec:
    """Reads and checks `policy.yaml` of a bundle folder.

    Raises:
        VilpError: no such bundle, or a key is missing, unknown, of the wrong type or out of range.
    """
    path = Path(bundle) / "policy.yaml"
    if not path.is_file():
        places = {Path(bundle).parent, Path("models")}
        found = sorted({str(p.parent) for place in places for p in place.glob("*/policy.yaml")})
        there = ", ".join(found) or "none here nor in models/"
        raise VilpError(f"no bundle at {bundle} (no policy.yaml); there are: {there}")
    try:
        body = parse_yaml(read(path), str(path))
        policy = OmegaConf.to_object(
            OmegaConf.merge(OmegaConf.structured(PolicyConfig), body.pop("policy"))
        )
        views = {view: (int(h), int(w)) for view, (h, w) in body.pop("views").items()}
        ranges = {v: (float(n), float(f)) for v, (n, f) in body.pop("depth_range_m", {}).items()}
        levels = {v: float(x) for v, x in body.pop("unlike_above", {}).items()}
        body |= {"depth_range_m": ranges, "unlike_above": levels}
        spec = BundleSpec(views=views, policy=policy, **body)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise VilpError(f"{path} is no policy description: {error}") from error
    except OmegaConfBaseException as error:
        raise VilpError(f"{path}: {str(error).splitlines()[0]}") from error
    try:
        METHODS.require(spec.method)
        spec.check()
    except VilpError as error:
        raise VilpError(f"{path}: {error}") from error
    return spec
