"""Trains LDP: the state planner and the inverse dynamics, on frozen latents."""

from __future__ import annotations

from typing_extensions import override

from vilp_ros.training.features import Features
from vilp_ros.training.inverse_dynamics import IdmObjective
from vilp_ros.training.loop import Objective
from vilp_ros.training.method import Training
from vilp_ros.training.planner import PlannerObjective


class LdpTraining(Training):
    """Planner and inverse dynamics, neither of which needs the other."""

    stages = (("planner", "idm"),)
    imitates_actions = False
    actions = 1

    @override
    def objective(self, name: str, features: Features) -> Objective:
        recipe, net = self.work.recipe, self.net(name)
        if name == "idm":
            return IdmObjective(net, features, recipe.policy.idm.prediction, recipe.idm)
        decoders = self.work.decoders()
        return PlannerObjective(net, features, recipe.policy, recipe.planner, decoders)
