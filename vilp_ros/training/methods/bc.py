"""Trains behaviour cloning on frozen latents."""

from __future__ import annotations

from typing_extensions import override

from vilp_ros.training.config import OptimConfig
from vilp_ros.training.features import Features
from vilp_ros.training.inverse_dynamics import BcObjective
from vilp_ros.training.loop import Objective
from vilp_ros.training.method import Training


class BcTraining(Training):
    """One network from states to chunks of actions."""

    stages = (("bc",),)

    @override
    def optim(self, name: str) -> OptimConfig:
        return self.work.recipe.bc

    @override
    def objective(self, name: str, features: Features) -> Objective:
        return BcObjective(self.net(name), features)
