"""Noise schedule, training loss and few-step sampling, all on diffusers' schedulers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

TRAIN_TIMESTEPS = 100


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


def diffusion_loss(
    net: Callable[[Tensor, Tensor, Tensor], Tensor],
    clean: Tensor,
    condition: Tensor,
    prediction: str,
    generator: torch.Generator,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean squared error of one denoising step at a random time, one time per sample.

    Args:
        net: called as `net(noisy, time, condition)`, returns the shape of `noisy`.
        clean: `(B, ...)` standardised targets.
        condition: `(B, C)`.
        prediction: `sample` or `epsilon`.
        generator: source of times and noise, seeded by the training step for exact resume.
        weight: weights of the last dimension, mean one.
    """
    times = torch.randint(TRAIN_TIMESTEPS, (len(clean),), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    times, noise = times.to(clean.device), noise.to(clean.device)
    noisy = schedule(prediction).add_noise(clean, noise, times)
    error = net(noisy, times, condition).float() - (clean if prediction == "sample" else noise)
    error = error.square()
    return (error if weight is None else error * weight).mean()


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
