"""Trains the VQGAN of one view (VILP section III; Esser et al. 2021)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from typing_extensions import override

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.table import Table
from vilp_ros.policy.diffusion import Random
from vilp_ros.policy.frame_codec import to_signed
from vilp_ros.policy.vqgan import VQGAN, PatchDiscriminator
from vilp_ros.training.autoencoder import FrameObjective
from vilp_ros.training.config import VqganTraining
from vilp_ros.training.perceptual import VggDistance


class VqganObjective(FrameObjective):
    """L1, perceptual distance, codebook, and from `disc_start` on a hinge GAN.

    Generator and discriminator learn in the same step: their losses are summed, and each is blind
    to the other's parameters (the generator's sees a frozen copy of the discriminator, the
    discriminator's sees rebuilt frames cut from the graph). taming alternates between two
    optimisers; the gradients are the same, taken before instead of after the generator's step.

    Args:
        vae: network to train; its codebook is seeded here.
        table: episodes.
        frames: `(F, H, W, 3)` of one view, uint8.
        train: indices of the episodes to learn from.
        held_out: indices of the episodes to validate on.
        config: weights of the loss.

    Raises:
        VilpError: the perceptual network cannot be read.
    """

    def __init__(
        self,
        vae: VQGAN,
        table: Table,
        frames: DiskArray,
        train: np.ndarray,
        held_out: np.ndarray,
        config: VqganTraining,
    ) -> None:
        super().__init__(vae, table, frames, train, held_out)
        self._config = config
        self._vgg = VggDistance(config.perceptual) if config.perceptual else None
        self.discriminator = None if config.disc_start is None else PatchDiscriminator()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # resumed with a run
        some = self.place({"frames": self._some[:: max(1, len(self._some) // 32)]})
        vae.seed_codebook(to_signed(some["frames"]))

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        frames = to_signed(batch["frames"]).contiguous(memory_format=torch.channels_last)
        rebuilt, codebook, index = self.vae.train_losses(frames)
        rebuilt = rebuilt.float()
        contrast = (frames - self.median).abs().mean(1, keepdim=True) / 2
        weight = 1.0 + self._config.contrast * contrast
        error = rebuilt - frames
        likeness = (error.abs() * weight).sum() / (weight.sum() * frames.shape[1])
        if self._vgg is not None:
            likeness = likeness + self._config.perceptual_weight * self._vgg(rebuilt, frames)
        loss = likeness + self._config.codebook * codebook
        scalars = {
            "reconstruction": likeness.detach(),
            "mse": error.detach().square().mean(),
            "codebook": codebook.detach(),
            "codes_used": loss.new_full((), len(index.unique())),
        }
        start = self._config.disc_start
        if self.training:
            self.steps += 1
            if start is not None and self.steps > start:
                loss = loss + self._adversarial(frames, rebuilt, likeness, scalars)
            elif self.discriminator is not None:  # several processes want all gradients, if zero
                loss = loss + 0.0 * sum(p.sum() for p in self.discriminator.parameters())
        return {"loss": loss, **scalars}

    def _adversarial(
        self, frames: Tensor, rebuilt: Tensor, likeness: Tensor, scalars: dict[str, Tensor]
    ) -> Tensor:
        """Hinge losses of both players; adds their figures to `scalars`."""
        assert self.discriminator is not None
        frozen = {key: value.detach() for key, value in self.discriminator.named_parameters()}
        verdict = -functional_call(self.discriminator, frozen, (rebuilt,)).float().mean()
        with torch.autocast(frames.device.type, enabled=False):  # as for any backward pass
            likeness_grad, verdict_grad = (
                torch.autograd.grad(part, self.vae.last_layer, retain_graph=True)[0].norm()
                for part in (likeness, verdict)
            )
        balance = (likeness_grad / (verdict_grad + 1e-4)).clamp(max=1e4)
        recorded, made = self.discriminator(torch.cat([frames, rebuilt.detach()])).float().chunk(2)
        hinge = 0.5 * (F.relu(1.0 - recorded).mean() + F.relu(1.0 + made).mean())
        scalars |= {
            "verdict": verdict.detach(),
            "balance": balance,
            "discriminator": hinge.detach(),
        }
        return self._config.adversarial * balance * verdict + hinge
