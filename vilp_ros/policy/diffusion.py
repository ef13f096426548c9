"""Noise schedule, training loss and few-step sampling, all on diffusers' schedulers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from vilp_ros.policy.config import TRAIN_TIMESTEPS


@lru_cache
def schedule(prediction: str) -> DDIMScheduler:
    """Squared-cosine schedule of 100 steps (LDP section 4.2).

    Spacing is `trailing`: with the default `leading`, four steps would start at t = 75, far from
    the pure noise that sampling starts from. `clip_sample` is off since states are standardised,
    not bounded.

    Args:
        prediction: `sample` (x0) or `epsilon`. Short training needs `sample`.
    """
    return DDIMScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )


class Random:
    """Random tensors: drawn on the CPU, so that every device sees the same, and put where used.

    Args:
        seed: of the stream.
        device: where the tensors go.
        share: of the rows of a batch that processes share: which of how many processes this is,
            and the rows of all. A row then has the numbers that it would have in one process.
    """

    def __init__(
        self, seed: int, device: torch.device, share: tuple[int, int, int] = (0, 1, 0)
    ) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._device = device
        index, count, self._rows = share
        self._mine = slice(index, None, count)
        self._row_count = len(range(self._rows)[self._mine])
        self._own = torch.Generator().manual_seed(seed + index) if count > 1 else self._generator

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return self._drawn(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1)."""
        return self._drawn(torch.rand, shape)

    def integers(self, low: int, high: int, count: int) -> Tensor:
        """`count` integers in [low, high)."""
        return self._drawn(partial(torch.randint, low, high), (count,))

    def _drawn(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        if self._own is self._generator:
            drawn = draw(shape, generator=self._generator)
        elif shape[0] == self._row_count:
            drawn = draw((self._rows, *shape[1:]), generator=self._generator)[self._mine]
        else:  # not a row each: no process draws what another does
            drawn = draw(shape, generator=self._own)
        return drawn.to(self._device)


def draw_times(count: int, random: Random, pure_noise: float | None) -> Tensor:
    """Diffusion times `(count,)` of training samples, uniform but for those at the last one.

    Args:
        count: of the samples.
        random: source of the times.
        pure_noise: share of the samples at the last time, 0 to 1; None: as many as chance has it.
    """
    times = random.integers(0, TRAIN_TIMESTEPS, count)
    if pure_noise:
        last = random.uniform(count) < pure_noise
        times = torch.where(last, TRAIN_TIMESTEPS - 1, times)
    return times


def diffusion_loss(
    net: Callable[[Tensor, Tensor, Tensor], Tensor],
    clean: Tensor,
    condition: Tensor,
    prediction: str,
    random: Random,
    weight: Tensor | None = None,
    pure_noise: float | None = None,
) -> Tensor:
    """Mean squared error of one denoising step at a random time, one time per sample.

    Args:
        net: called as `net(noisy, time, condition)`, returns the shape of `noisy`.
        clean: `(B, ...)` standardised targets.
        condition: `(B, C)`.
        prediction: `sample` or `epsilon`.
        random: source of times and noise, seeded by the training step for exact resume.
        weight: weights of the last dimension, mean one.
        pure_noise: as in `draw_times`.
    """
    times = draw_times(len(clean), random, pure_noise)
    noise = random.normal(*clean.shape)
    noisy = schedule(prediction).add_noise(clean, noise, times)
    error = net(noisy, times, condition).float() - (clean if prediction == "sample" else noise)
    error = error.square()
    return (error if weight is None else error * weight).mean()


def clean_of(out: Tensor, noisy: Tensor, times: Tensor, prediction: str) -> Tensor:
    """The clean sample in a network's output, both `(B, ...)`, for noisy ones at times `(B,)`."""
    if prediction == "sample":
        return out
    alpha = schedule(prediction).alphas_cumprod.to(times.device)[times]
    alpha = alpha.view(-1, *[1] * (out.ndim - 1))
    return (noisy - (1 - alpha).sqrt() * out) / alpha.sqrt()


def at_one_time(net: Callable[[Tensor, Tensor, Any], Tensor]) -> Callable[[Any, int, Any], Any]:
    """A network as `sample` calls it: with one integer time for all samples."""
    return lambda x, t, c: net(x, torch.full((len(x),), t, device=x.device), c)


def share_noise(own: Any, common: Any, share: float) -> Any:
    """Unit noise of which all views have a part in common, so that they imagine one future.

    Args:
        own: `(..., V, n)` standard normal.
        common: `(..., 1, n)` standard normal.
        share: share of the variance in common, 0 to 1.
    """
    return (1.0 - share) ** 0.5 * own + share**0.5 * common


@lru_cache
def _ddim_coefficients(steps: int) -> list[tuple[int, float, float, float, float]]:
    """`(t, sqrt(a_t), sqrt(1-a_t), sqrt(a_prev), sqrt(1-a_prev))` for each DDIM step."""
    scheduler = DDIMScheduler.from_config(schedule("sample").config)
    scheduler.set_timesteps(steps)
    times = [int(t) for t in scheduler.timesteps]
    alphas = scheduler.alphas_cumprod
    rows = []
    for here, after in zip(times, [*times[1:], -1], strict=True):
        a = float(alphas[here])
        b = float(alphas[after]) if after >= 0 else 1.0
        rows.append((here, a**0.5, (1 - a) ** 0.5, b**0.5, (1 - b) ** 0.5))
    return rows


def sample(
    net: Callable[[Any, int, Any], Any],
    noise: Any,
    condition: Any,
    steps: int,
    prediction: str,
    start: Any = None,
    skip: int = 0,
) -> Any:
    """Deterministic DDIM (eta 0) from `noise`; works on numpy arrays and tensors alike.

    The coefficients are diffusers' own; the update is written out because it runs in the control
    path on plain arrays, where the scheduler's step costs more than the network.

    Args:
        net: called as `net(noisy, time, condition)` with an integer time.
        noise: `(B, ...)` standard normal.
        condition: `(B, C)`.
        steps: number of network calls, 1 to 100.
        prediction: what the network returns, `sample` or `epsilon`.
        start: a guess of the clean sample, of the shape of `noise`; None starts from noise alone.
        skip: with a guess: steps left out, fewer than `steps`.

    Returns:
        The clean sample, of the shape and kind of `noise`.
    """
    rows = _ddim_coefficients(steps)
    x = noise
    if start is not None and skip:
        rows = rows[skip:]
        _, signal, spread, _, _ = rows[0]
        x = signal * start + spread * noise
    for t, signal, spread, next_signal, next_spread in rows:
        out = net(x, t, condition)
        if prediction == "sample":
            clean, eps = out, (x - signal * out) / spread
        else:
            clean, eps = (x - spread * out) / signal, out
        x = next_signal * clean + next_spread * eps
    return x
