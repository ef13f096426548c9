"""Trains VILP: the video planner on frozen latents, then the low-level policy on its frames."""

from __future__ import annotations

from typing_extensions import override

from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.video_planner import VideoPlanner
from vilp_ros.training.features import Features
from vilp_ros.training.loop import Objective
from vilp_ros.training.low_level import FrameLowLevelObjective, LowLevelObjective
from vilp_ros.training.method import Training
from vilp_ros.training.video_planner import VideoPlannerObjective


class VilpTraining(Training):
    """The low-level policy learns from the planner's frames, and waits for it."""

    stages = (("planner",), ("low_level",))
    imitates_actions = False

    @override
    def objective(self, name: str, features: Features) -> Objective:
        if name == "planner":
            return self._planner(features)
        work, net = self.work, self.net(name)
        planner = self._planner(features)
        work.load(planner, "planner")
        needs = (net, features, planner.eval(), work.recipe.low_level)
        if isinstance(net, FramePolicy):
            return FrameLowLevelObjective(*needs, work.decoders())
        return LowLevelObjective(*needs)

    def _planner(self, features: Features) -> VideoPlannerObjective:
        work, net = self.work, self.net("planner")
        assert isinstance(net, VideoPlanner)
        recipe = work.recipe
        frames = work.images() if net.sees_frames else []
        return VideoPlannerObjective(
            net, features, recipe.policy, recipe.planner, work.decoders(), frames
        )
