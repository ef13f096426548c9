"""The one training loop: every learned part is an objective fitted by `fit`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from vilp_ros.training import checkpoint
from vilp_ros.training.config import OptimConfig

CHECKPOINT_EVERY_S = 120.0


class Objective(nn.Module):
    """What `fit` minimises. Subclasses hold the network and the data it learns from."""

    def batch(self, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Training samples drawn with `rng`."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Named scalars of a batch; `loss` is the one minimised."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Named figures on held-out episodes; `score` is the one to keep low."""
        return {}

    def pictures(self) -> dict[str, Tensor]:
        """Named images `(3, H, W)` in 0..1 for tensorboard."""
        return {}


def learning_rate(optim: OptimConfig, step: int) -> float:
    """Linear warm-up, then cosine to zero at the last step."""
    warm = min(1.0, (step + 1) / max(optim.warmup, 1))
    done = max(0.0, (step - optim.warmup) / max(optim.steps - optim.warmup, 1))
    return optim.lr * warm * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def fit(
    name: str,
    objective: Objective,
    optim: OptimConfig,
    folder: Path,
    seed: int,
    *,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Fits an objective; its parameters end as the averaged weights.

    Batches, times and noise are functions of (seed, step, process), so that a run that was killed
    goes on from its checkpoint exactly as if it had not been.

    Args:
        name: name of the part, used for files and progress.
        objective: network with its data and loss.
        optim: optimisation.
        folder: where `<name>.safetensors`, its checkpoint and tensorboard files go.
        seed: seed of the run.
        stop_after: leave after this many steps with a checkpoint, as a kill would.

    Returns:
        Notes of the run: steps, seconds, last scalars, best validation.
    """
    accelerator = Accelerator(mixed_precision="bf16", cpu=not torch.cuda.is_available())
    path = folder / f"{name}.checkpoint.safetensors"
    optimizer = torch.optim.AdamW(
        objective.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, betas=(0.9, 0.99)
    )
    notes: dict[str, Any] = {"step": 0, "seconds": 0.0, "best": None}
    keys = [key for key, _ in objective.named_parameters()]
    ema = EMAModel(objective.parameters(), decay=optim.ema, use_ema_warmup=True, power=0.75)
    best: dict[str, Tensor] = {}
    if path.is_file():
        groups, notes = checkpoint.read(path)
        objective.load_state_dict(groups["model"])
        checkpoint.load_optimizer(optimizer, groups["optimizer"])
        ema.shadow_params = [groups["ema"][key] for key in keys]
        ema.optimization_step = notes["step"]
        best = groups.get("best", {})
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    notes["processes"] = accelerator.num_processes
    ema.to(accelerator.device)
    main = accelerator.is_main_process
    writer = SummaryWriter(str(folder / "tensorboard" / name)) if main else None
    began = saved = time.monotonic()

    def save() -> None:
        if not main:
            return
        groups = {
            "model": objective.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(optimizer.optimizer),
            "ema": dict(zip(keys, ema.shadow_params, strict=True)),
        }
        seconds = notes["seconds"] + time.monotonic() - began
        extra = {"best": best} if best else {}
        checkpoint.write(path, groups | extra, {**notes, "seconds": seconds})

    def look(step: int) -> None:
        ema.store(objective.parameters())
        ema.copy_to(objective.parameters())
        objective.eval()
        with torch.inference_mode():
            figures = objective.validate()
            pictures = objective.pictures() if step == optim.steps else {}
        for key, value in figures.items():
            writer and writer.add_scalar(f"validation/{key}", value, step)
        for key, value in pictures.items():
            writer and writer.add_image(key, value, step)
        score = figures.get("score")
        if score is not None and (notes["best"] is None or score < notes["best"]["score"]):
            notes["best"] = {"step": step, **figures}
            if optim.keep_best:
                best.update({k: p.detach().clone() for k, p in objective.named_parameters()})
        notes["last"] = figures
        objective.train()
        ema.restore(objective.parameters())

    bar = tqdm(
        total=optim.steps,
        initial=notes["step"],
        desc=name,
        unit="step",
        disable=not main,
        mininterval=2.0,
    )
    objective.train()
    for step in range(notes["step"], optim.steps):
        key = [seed, step, accelerator.process_index]
        rng = np.random.default_rng(key)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(optim, step)
        batch = {
            k: v.to(accelerator.device) for k, v in objective.batch(rng, optim.batch_size).items()
        }
        scalars = wrapped(batch, generator)
        accelerator.backward(scalars["loss"])
        accelerator.clip_grad_norm_(objective.parameters(), optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(objective.parameters())
        notes["step"] = step + 1
        bar.update()
        if step % 20 == 0:
            values = {k: float(v.detach()) for k, v in scalars.items()}
            bar.set_postfix({k: f"{v:.4f}" for k, v in values.items()})
            for k, v in values.items():
                writer and writer.add_scalar(f"train/{k}", v, step)
        if (step + 1) % optim.validate_every == 0 or step + 1 == optim.steps:
            look(step + 1)
        if time.monotonic() - saved > CHECKPOINT_EVERY_S:
            save()
            saved = time.monotonic()
        if step + 1 == stop_after:
            save()
            bar.close()
            return notes
    bar.close()

    notes["seconds"] += time.monotonic() - began
    ema.copy_to(objective.parameters())
    if best:
        for k, parameter in objective.named_parameters():
            parameter.data.copy_(best[k])
    objective.eval()
    if main:
        checkpoint.write(folder / f"{name}.safetensors", {"model": objective.state_dict()}, notes)
        path.unlink(missing_ok=True)
        assert writer is not None
        writer.close()
    accelerator.wait_for_everyone()
    return notes
