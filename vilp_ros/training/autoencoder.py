"""Trains the VAE of one view (LDP section 4.1)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.table import Table
from vilp_ros.policy.autoencoder import LightVAE, PaperVAE, vae_loss
from vilp_ros.policy.diffusion import Random
from vilp_ros.policy.frame_codec import to_signed
from vilp_ros.policy.layout import PROPRIO_DIM
from vilp_ros.training.config import AutoencoderTraining
from vilp_ros.training.loop import Objective

POSE_DIM = 9
"""xyz and rot6d: the part of the proprio that foresight predicts."""
MEDIAN_OF = 400
"""Frames, evenly, or up to twice as many, of which a view's median image is made."""


class FrameObjective(Objective):
    """What the training of every autoencoder shares: the frames of a view, figures and pictures.

    Args:
        vae: network to train.
        table: episodes.
        frames: `(F, H, W, 3)` of one view, uint8.
        train: indices of the episodes to learn from.
        held_out: indices of the episodes to validate on.
    """

    def __init__(
        self,
        vae: nn.Module,
        table: Table,
        frames: DiskArray,
        train: np.ndarray,
        held_out: np.ndarray,
    ) -> None:
        super().__init__()
        self.vae = vae
        self._frames = frames
        self._train = frames_of(table, train)
        self._held_out = frames_of(table, held_out)[:: max(1, len(held_out) // 4)][:256]
        self._some = self._frames[self._train[:: max(1, len(self._train) // MEDIAN_OF)]]
        self.constant("median", median_image(self._some))

    def _gather(self, index: np.ndarray) -> dict[str, np.ndarray]:
        return {"frames": self._frames[index]}

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return self._gather(np.sort(rng.choice(self._train, size)))

    @override
    def validate(self) -> dict[str, float]:
        if not len(self._held_out):
            return {}
        totals: list[dict[str, Tensor]] = []
        for index in np.array_split(self._held_out, max(1, len(self._held_out) // 64)):
            totals.append(self(self.place(self._gather(index)), self.random(0)))
        figures = {k: float(np.mean([float(t[k]) for t in totals])) for k in totals[0]}
        figures["psnr_db"] = float(10 * np.log10(4.0 / figures["mse"]))
        figures["score"] = figures.pop("loss")
        return figures

    @override
    def pictures(self) -> dict[str, Tensor]:
        if not len(self._held_out):
            return {}
        seen = {"frames": self._frames[self._held_out[::32][:8]]}
        frames = to_signed(self.place(seen)["frames"])
        rebuilt = self.vae.decode(self.vae.posterior(frames)[0]).float().clamp(-1, 1)
        rows = [torch.cat(list(x), dim=-1) for x in (frames, rebuilt)]
        return {"truth above reconstruction": (torch.cat(rows, dim=-2) + 1) / 2}


class AutoencoderObjective(FrameObjective):
    """Reconstruction, KL, and foresight of the end effector's pose.

    Reconstruction alone spends the latent on what covers many pixels. Foresight asks it to keep
    what the next moves depend on, and needs no label that a recording lacks: the pose a few
    periods ahead, relative to the present one. Suboptimal episodes do not take part in it, since
    their moves do not follow from what is seen.

    Args:
        vae: network to train.
        table: episodes.
        frames: `(F, H, W, 3)` of one view, uint8.
        train: indices of the episodes to learn from.
        held_out: indices of the episodes to validate on.
        config: weights of the loss.
    """

    def __init__(
        self,
        vae: LightVAE | PaperVAE,
        table: Table,
        frames: DiskArray,
        train: np.ndarray,
        held_out: np.ndarray,
        config: AutoencoderTraining,
    ) -> None:
        super().__init__(vae, table, frames, train, held_out)
        self._config = config

        last = table.timeline.last_frame()
        here = np.arange(len(last))
        pose = table.proprio[:, :POSE_DIM]
        ahead = [np.minimum(here + n, last) for n in config.foresight_steps]
        future = np.stack([pose[i] - pose for i in ahead], axis=1)
        self._future = (future / (future[self._train].std(0) + 1e-4)).astype(np.float32)
        usable = np.isin(table.role, ("expert", "action_free")) & table.posed
        self._usable = np.repeat(usable, table.timeline.length + 1).astype(np.float32)
        state = np.concatenate([table.proprio, table.change], axis=1)
        mean, std = state[self._train].mean(0), state[self._train].std(0)
        self._state = ((state - mean) / (std + 1e-4)).astype(np.float32)
        self.head = nn.Sequential(
            nn.Linear(vae.latent_dim + 2 * PROPRIO_DIM, 256),
            nn.SiLU(),
            nn.Linear(256, 256),
            nn.SiLU(),
            nn.Linear(256, len(config.foresight_steps) * POSE_DIM),
        )

    @override
    def _gather(self, index: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "frames": self._frames[index],
            "state": self._state[index],
            "future": self._future[index],
            "usable": self._usable[index],
        }

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        frames = to_signed(batch["frames"]).contiguous(memory_format=torch.channels_last)
        mean, logvar = self.vae.posterior(frames)
        latent = mean + random.normal(*mean.shape) * (0.5 * logvar).exp()
        contrast = (frames - self.median).abs().mean(1, keepdim=True) / 2
        loss, scalars = vae_loss(
            frames,
            self.vae.decode(latent),
            mean,
            logvar,
            1.0 + self._config.contrast * contrast,
            self._config.beta,
        )
        guess = self.head(torch.cat([latent, batch["state"]], -1)).float()
        error = F.smooth_l1_loss(guess, batch["future"].flatten(1), reduction="none").mean(-1)
        foresight = (error * batch["usable"]).sum() / batch["usable"].sum().clamp(min=1.0)
        return {
            "loss": loss + self._config.foresight * foresight,
            "foresight": foresight.detach(),
            **scalars,
        }


def median_image(frames: np.ndarray) -> Tensor:
    """What a view shows that does not move, `(1, 3, H, W)` in [-1, 1], of `(N, H, W, 3)` uint8."""
    return to_signed(torch.from_numpy(np.median(frames, axis=0).astype(np.uint8))[None])


def frames_of(table: Table, episodes: np.ndarray) -> np.ndarray:
    """Indices of all frames of these episodes."""
    line = table.timeline
    parts = [line.start[e] + np.arange(line.length[e] + 1) for e in episodes]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
