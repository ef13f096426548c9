"""Fits a toy in all processes of torchrun: `ranks.py FOLDER BATCH STEPS [STOP_AFTER]`."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from vilp_ros.policy.diffusion import diffusion_loss
from vilp_ros.training.config import OptimConfig
from vilp_ros.training.loop import Objective, fit
from vilp_ros.training.processes import here


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(9, 32), nn.SiLU(), nn.Linear(32, 6))

    def forward(self, noisy, time, condition):
        return self.body(torch.cat([noisy, condition, time[:, None] / 100], -1))


class Toy(Objective):
    """A denoiser of points on a curve, which draws times and noise as ours do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = Denoiser()
        phase = np.random.default_rng(0).uniform(0, 6, (500, 1)).astype(np.float32)
        self._condition = np.concatenate([np.sin(phase), np.cos(phase)], -1)
        self._clean = np.concatenate([np.sin(k * phase) for k in range(1, 7)], -1)

    def batch(self, rng, size):
        rows = rng.integers(0, 500, size)
        return {"clean": self._clean[rows], "condition": self._condition[rows]}

    def forward(self, batch, random):
        loss = diffusion_loss(self.net, batch["clean"], batch["condition"], "sample", random)
        return {"loss": loss}


def main(folder, batch, steps, stop_after=None):
    toy = Toy()
    optim = OptimConfig(steps=steps, batch_size=batch, lr=3e-3, warmup=2)
    fit("toy", toy, optim, Path(folder), seed=1, stop_after=stop_after)
    if here().is_main_process and stop_after is None:
        events = EventAccumulator(f"{folder}/tensorboard/toy")
        events.Reload()
        curve = {event.step: event.value for event in events.Scalars("train/loss")}
        weights = torch.cat([p.flatten() for p in toy.parameters()]).tolist()
        said = {"processes": here().num_processes, "curve": curve, "weights": weights}
        Path(folder, "found.json").write_text(json.dumps(said))
    here().destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
