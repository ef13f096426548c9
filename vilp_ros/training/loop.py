"""The one training loop: every learned part is an objective fitted by `fit`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from vilp_ros.errors import VilpError
from vilp_ros.policy.diffusion import Random
from vilp_ros.training import checkpoint
from vilp_ros.training.config import OptimConfig
from vilp_ros.training.prefetch import prefetched
from vilp_ros.training.processes import first, has_bf16, here

CHECKPOINT_EVERY_S = 120.0
M = TypeVar("M", bound=nn.Module)


class Objective(nn.Module):
    """What `fit` minimises. Subclasses hold the network and the data it learns from.

    Here alone it is decided where a tensor lives. What an objective reads is an array until
    `place`; what else it computes with is a `constant` or comes from `Random`; networks that it
    only looks through are kept by `freeze`. All of it follows the objective to its device.
    """

    def __init__(self) -> None:
        super().__init__()
        self._frozen: list[nn.Module] = []

    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        """Training samples drawn with `rng`, in a thread that works ahead."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        """Named scalars of a batch that was placed; `loss` is the one minimised."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Named figures on held-out episodes; `score` is the one to keep low."""
        return {}

    def pictures(self) -> dict[str, Tensor]:
        """Named images `(3, H, W)` in 0..1 for tensorboard."""
        return {}

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.parameters()).device

    def place(self, arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """Samples as tensors beside the network."""
        return {k: torch.from_numpy(np.asarray(v)).to(self.device) for k, v in arrays.items()}

    def random(self, seed: int, share: tuple[int, int, int] = (0, 1, 0)) -> Random:
        """Random numbers beside the network; `share` as in `Random`."""
        return Random(seed, self.device, share)

    def constant(self, name: str, values: np.ndarray | Tensor) -> None:
        """Makes `self.<name>` a tensor that is neither trained nor written to a checkpoint."""
        self.register_buffer(name, torch.as_tensor(values), persistent=False)

    def freeze(self, modules: Iterable[M]) -> tuple[M, ...]:
        """Networks to look through: neither trained nor written to a checkpoint.

        Returns:
            The modules, in a tuple: as attributes they would become parts of this one.
        """
        frozen = tuple(module.eval().requires_grad_(False) for module in modules)
        self._frozen += frozen
        return frozen

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Objective:
        """What `to(device)` and its like go through."""
        super()._apply(fn, recurse)
        for module in self._frozen:
            module._apply(fn, recurse)
        return self


def learning_rate(optim: OptimConfig, step: int) -> float:
    """Linear warm-up, then cosine to zero at the last step."""
    warm = min(1.0, (step + 1) / max(optim.warmup, 1))
    done = max(0.0, (step - optim.warmup) / max(optim.steps - optim.warmup, 1))
    return optim.lr * warm * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


class _Watch:
    """Looks whether losses and gradients are finite; seldom, since a GPU must be waited for.

    Args:
        name: name of the part.
        folder: where its checkpoints are.
        optim: optimisation.
    """

    def __init__(self, name: str, folder: Path, optim: OptimConfig) -> None:
        self._name, self._folder, self._optim = name, folder, optim
        self._finite: dict[int, Tensor] = {}

    def add(self, step: int, *values: Tensor) -> None:
        """Takes the numbers of a step."""
        self._finite[step] = _all_finite(values)

    def check(self, weights: Iterable[Tensor] = ()) -> None:
        """Judges the steps since the last time, and weights that are to be written.

        Raises:
            VilpError: a number is not finite.
        """
        finite, self._finite = self._finite, {}
        for step, good in finite.items() if not bool(_all(finite.values())) else ():
            if not bool(good):
                self.stop(f"loss or gradient is not finite at step {step}")
        if not bool(_all_finite(weights)):
            self.stop("weights are not finite")

    def stop(self, what: str) -> NoReturn:
        """Raises VilpError; checkpoints written before are finite, and stay."""
        last = checkpoint.newest(self._folder, self._name)
        kept = f"the last good checkpoint is {last}" if last else "no checkpoint was due before it"
        raise VilpError(
            f"{self._name} diverged: {what}; {kept}. Try a learning rate below "
            f"{self._optim.lr:g} in another --work, and see whether `vilp data` finds fault with "
            "the episodes"
        )


def _all(flags: Iterable[Tensor]) -> Tensor:
    flags = list(flags)
    return torch.stack(flags).all() if flags else torch.tensor(True)


def _all_finite(values: Iterable[Tensor]) -> Tensor:
    return _all(value.detach().isfinite().all() for value in values)


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

    Batches, times and noise are functions of (seed, step), so that a run that was killed goes on
    from its checkpoint exactly as if it had not been; processes take a share of the rows each, so
    that any number of them learns the same, but for rounding.

    Args:
        name: name of the part, used for files and progress.
        objective: network with its data and loss.
        optim: optimisation.
        folder: where `<name>.safetensors`, its checkpoint and tensorboard files go.
        seed: seed of the run.
        stop_after: leave after this many steps with a checkpoint, as a kill would.

    Returns:
        Notes of the run: steps, seconds, last scalars, best validation.

    Raises:
        VilpError: loss, gradient or held-out score is not finite; checkpoints stay as they are.
    """
    device = here().device
    mixed = has_bf16(device)
    accelerator = Accelerator(mixed_precision="bf16" if mixed else "no", cpu=device.type == "cpu")
    objective.to(accelerator.device)
    optimizer = torch.optim.AdamW(
        objective.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, betas=(0.9, 0.99)
    )
    notes: dict[str, Any] = {"step": 0, "seconds": 0.0, "best": None}
    keys = [key for key, _ in objective.named_parameters()]
    ema = EMAModel(objective.parameters(), decay=optim.ema, use_ema_warmup=True, power=0.75)
    best: dict[str, Tensor] = {}
    if path := first(lambda: checkpoint.newest(folder, name)):
        groups, notes = checkpoint.read(path)
        objective.load_state_dict(groups["model"])
        checkpoint.load_optimizer(optimizer, groups["optimizer"])
        ema.shadow_params = [groups["ema"][key].to(objective.device) for key in keys]
        ema.optimization_step = notes["step"]
        best = groups.get("best", {})
    wrapped, optimizer = accelerator.prepare(objective, optimizer, device_placement=[False, False])
    notes["processes"] = accelerator.num_processes
    notes["precision"] = "bfloat16" if mixed else "float32"
    main = accelerator.is_main_process
    writer = SummaryWriter(str(folder / "tensorboard" / name)) if main else None
    watch = _Watch(name, folder, optim)
    began = saved = time.monotonic()

    def save() -> None:
        watch.check(objective.parameters())
        if not main:
            return
        groups = {
            "model": objective.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(optimizer.optimizer),
            "ema": dict(zip(keys, ema.shadow_params, strict=True)),
        }
        seconds = notes["seconds"] + time.monotonic() - began
        extra = {"best": best} if best else {}
        checkpoint.save(folder, name, groups | extra, {**notes, "seconds": seconds})

    def look(step: int) -> None:
        watch.check()
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
        if score is not None and not math.isfinite(score):
            watch.stop(f"the held-out score is {score} at step {step}")
        if score is not None and (notes["best"] is None or score < notes["best"]["score"]):
            notes["best"] = {"step": step, **figures}
            if optim.keep_best:
                best.update({k: p.detach().clone() for k, p in objective.named_parameters()})
        notes["last"] = figures
        objective.train()
        ema.restore(objective.parameters())

    me, among = accelerator.process_index, accelerator.num_processes

    def drawn(step: int) -> tuple[int, int, dict[str, np.ndarray]]:
        rng = np.random.default_rng([seed, step, 0])
        key, whole = int(rng.integers(2**62)), objective.batch(rng, optim.batch_size)
        rows = len(next(iter(whole.values())))
        return key, rows, {name: values[me::among] for name, values in whole.items()}

    steps = range(notes["step"], optim.steps)
    objective.train()
    with tqdm(
        total=optim.steps,
        initial=notes["step"],
        desc=name,
        unit="step",
        disable=not main,
        mininterval=2.0,
    ) as bar:
        for step, (key, rows, arrays) in zip(steps, prefetched(drawn, steps)):
            if rows < among:
                raise VilpError(
                    f"{name}: {rows} rows a batch cannot be shared by {among} processes"
                )
            random = objective.random(key, (me, among, rows))
            # Gradients are averaged over processes, and a process may have a row more.
            weight = among * len(range(rows)[me::among]) / rows
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(optim, step)
            scalars = wrapped(objective.place(arrays), random)
            accelerator.backward(weight * scalars["loss"])
            norm = accelerator.clip_grad_norm_(objective.parameters(), optim.grad_clip)
            watch.add(step, scalars["loss"], norm)
            optimizer.step()
            optimizer.zero_grad()
            ema.step(objective.parameters())
            notes["step"] = step + 1
            bar.update()
            if step % 20 == 0:
                watch.check()
                shares = {k: weight * v.detach() for k, v in scalars.items()}
                values = {k: float(v) for k, v in accelerator.reduce(shares, "mean").items()}
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
                return notes

    notes["seconds"] += time.monotonic() - began
    ema.copy_to(objective.parameters())
    if best:
        for k, parameter in objective.named_parameters():
            parameter.data.copy_(best[k])
    objective.eval()
    watch.check(objective.parameters())
    if main:
        checkpoint.write(folder / f"{name}.safetensors", {"model": objective.state_dict()}, notes)
        for path in checkpoint.saved(folder, name):
            path.unlink()
        assert writer is not None
        writer.close()
    accelerator.wait_for_everyone()
    return notes
