"""Patterns on things: some for training, others for evaluation."""

from __future__ import annotations

import numpy as np

from vilp_ros.sim.scene import TEXTURE_SIDE as SIDE

KINDS = {False: ("checker", "stripes", "clouds", "speckle"), True: ("dots", "rings", "bricks")}
"""What training draws (False), and what is held out for evaluation (True)."""


def draw_texture(rng: np.random.Generator, kind: str, strength: float = 1.0) -> np.ndarray:
    """A pattern `(SIDE, SIDE, 3)` uint8, white where the colour beneath it is as it was.

    Args:
        rng: draws.
        kind: one of `KINDS`.
        strength: of the contrast; all of it from 1 on.
    """
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    turned = rng.uniform(0, np.pi)
    u = np.cos(turned) * x + np.sin(turned) * y
    count = rng.integers(2, 7)
    if kind == "checker":
        pattern = (np.floor(x * count) + np.floor(y * count)) % 2
    elif kind == "stripes":
        pattern = (u * count) % 1 < rng.uniform(0.2, 0.8)
    elif kind == "clouds":
        spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE)))
        f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
        smooth = np.fft.ifft2(spectrum / (f + 1 / SIDE) ** rng.uniform(1, 2)).real
        pattern = (smooth - smooth.min()) / np.ptp(smooth)
    elif kind == "speckle":
        pattern = rng.random((SIDE, SIDE)) < rng.uniform(0.1, 0.5)
    elif kind == "dots":
        pattern = np.hypot((x * count) % 1 - 0.5, (y * count) % 1 - 0.5) < rng.uniform(0.2, 0.4)
    elif kind == "rings":
        wobble = 0.05 * np.sin(2 * np.pi * (3 * y + rng.random()))
        pattern = 0.5 + 0.5 * np.sin(2 * np.pi * 2 * count * np.hypot(x - 0.3, y - 0.5 + wobble))
    else:
        row = np.floor(y * count)
        pattern = ((x * count + 0.5 * (row % 2)) % 1 < 0.12) | ((y * count) % 1 < 0.12)
    other = rng.uniform(0.1, 0.9, 3)
    share = pattern.astype(float)[..., None] * min(strength, 1.0)
    return np.rint(255 * (1 - share * (1 - other))).astype(np.uint8)
