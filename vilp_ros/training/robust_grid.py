"""Robust encoders of grids: judged by what the decoder makes of their latents, not by the latents.

A grid holds hundreds of numbers a view, most of them about what nobody can tell from an altered
frame, such as the grain of a table in another light. Asked for those, an encoder gives up the few
that matter: distilled as a vector's, it lost the object (`docs/robustness.md`). The picture of the
usual scene, where it differs from the scenery, is what is asked for here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.policy.diffusion import Random
from vilp_ros.policy.frame_codec import to_signed
from vilp_ros.training.autoencoder import MEDIAN_OF, median_image
from vilp_ros.training.config import RobustTraining
from vilp_ros.training.robust import RobustObjective, Views

ANCHOR = 1e-3
"""Weight of the distance from the teacher's latents: what the decoder does not look at stays."""


class RobustGridObjective(RobustObjective):
    """Weighted error of the decoded picture, as the autoencoder was trained, and the anchor.

    Args:
        student: encoder to train.
        vae: the teacher, whose decoder stays in use; frozen.
        data: frames of the view.
        view: its name.
        config: of the stage.
        depth: it is a depth view.
        contrast: extra weight of a pixel that differs fully from the view's median image.
    """

    scored = "picture_"

    def __init__(
        self,
        student: nn.Module,
        vae: nn.Module,
        data: Views,
        view: str,
        config: RobustTraining,
        depth: bool,
        contrast: float,
    ) -> None:
        super().__init__(student, vae, data, view, config, depth)
        some = data.usual[self._train[:: max(1, len(self._train) // MEDIAN_OF)]]
        self.constant("median", median_image(some))
        self._contrast = contrast

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        made = super().batch(rng, size)
        return made | {"clean": self._data.usual[made["rows"]]}

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        frames, clean = (
            to_signed(batch[name]).contiguous(memory_format=torch.channels_last)
            for name in ("frames", "clean")
        )
        latents = self.student(frames)
        picture = self._picture_error(latents, clean)
        anchor = ((latents - batch["target"]) / self.std).square().mean()
        return {"loss": picture + ANCHOR * anchor, "picture": picture.detach()}

    def _picture_error(self, latents: Tensor, clean: Tensor) -> Tensor:
        weight = 1.0 + self._contrast * (clean - self.median).abs().mean(1, keepdim=True) / 2
        error = (self._vae[0].decode(latents).float() - clean).square()
        return (error * weight).sum() / (weight.sum() * clean.shape[1])

    @override
    def judge(self, latents: np.ndarray, index: np.ndarray) -> dict[str, float]:
        clean = self._signed(self._data.usual[index])
        error = self._picture_error(self.place({"latents": latents})["latents"], clean)
        return super().judge(latents, index) | {"picture_": float(error)}
