"""Trainings by the name of their method: ours, and those of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vilp_ros.policy.registry import Registry

if TYPE_CHECKING:
    from vilp_ros.training.method import Training

HERE = "vilp_ros.training.methods"
TRAININGS: Registry[Training] = Registry(
    "vilp_ros.trainings",
    {
        "ldp": f"{HERE}.ldp:LdpTraining",
        "vilp": f"{HERE}.vilp:VilpTraining",
        "diffusion_policy": f"{HERE}.diffusion_policy:DiffusionPolicyTraining",
        "unipi": f"{HERE}.unipi:UnipiTraining",
        "bc": f"{HERE}.bc:BcTraining",
    },
    "is none that `vilp train` can train",
)
