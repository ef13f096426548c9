"""How a method is trained: its parts in their order, each an objective that `fit` minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from vilp_ros.policy.statistics import Statistics
from vilp_ros.training.config import OptimConfig
from vilp_ros.training.features import Features, make_features
from vilp_ros.training.loop import Objective, fit
from vilp_ros.training.processes import first
from vilp_ros.training.usable import Usable
from vilp_ros.training.work import Work


class Training(ABC):
    """The parts of one method; where it plans on latents, the autoencoders are done before them.

    Args:
        work: what the parts share.

    Attributes:
        stages: names of the parts; those of one stage need none of each other.
        imitates_actions: whether what to do is learned from actions, so that without labelled
            demonstrations nothing is; a planner learns it by watching.
        unread: settings of its parts' sections of a recipe that it does not read.
    """

    stages: ClassVar[tuple[tuple[str, ...], ...]]
    imitates_actions: ClassVar[bool] = True
    unread: ClassVar[tuple[str, ...]] = ()

    def __init__(self, work: Work) -> None:
        self.work = work

    @property
    def actions(self) -> int:
        """Actions that a sample holds, from the present one on."""
        policy = self.work.recipe.policy
        return policy.horizon * policy.frame_interval

    def usable(self) -> Usable:
        """The steps that it may learn from.

        Raises:
            VilpError: there are none.
        """
        work = self.work
        table, training, _ = work.table()
        pictures_only = not work.layout.forecasts_proprio
        usable = Usable.of(table, training, work.recipe.policy, pictures_only)
        usable.check(work.recipe.policy)
        return usable

    def features(self) -> Features:
        """What the parts learn from."""
        work = self.work
        table, training, held_out = work.table()
        files = [work.latents(view) for view in work.recipe.views if work.method.autoencodes]
        latents = [np.load(file, mmap_mode="r") for file in files]
        policy = work.recipe.policy
        return make_features(table, latents, policy, work.layout, self.actions, training, held_out)

    def statistics(self) -> Statistics:
        """What the bundle standardises states and actions by."""
        return self.features().statistics

    def optim(self, name: str) -> OptimConfig:
        """How a part is optimised: `<name>.optim` of the recipe."""
        return getattr(self.work.recipe, name).optim

    def net(self, name: str) -> nn.Module:
        """A part's fresh network."""
        return self.work.method.parts(self.work.recipe.policy, self.work.views)[name]

    @abstractmethod
    def objective(self, name: str, features: Features) -> Objective:
        """The loss of a part, on fresh weights; its network is the attribute `net`."""

    def fit(self, name: str) -> None:
        """Fits a part, unless it is done."""
        work, seed = self.work, self.work.recipe.seed
        if first(work.part(name).is_file):
            return
        features = self.features()
        torch.manual_seed(seed)
        fit(name, self.objective(name, features), self.optim(name), work.folder, seed)
