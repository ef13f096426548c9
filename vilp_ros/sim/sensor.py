"""What a poor camera does to a picture: exposure, blur of motion, noise of light, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Sensor:
    """A camera that errs.

    Attributes:
        exposure: factor on what arrives; what is too bright is cut off.
        blur_px: length of the smear of motion.
        blur_deg: its direction.
        photons: that make white; fewer are noisier, 0 has no noise.
        jpeg: quality, 1 to 95; 0 does not compress.
        seed: of the noise.
    """

    exposure: float = 1.0
    blur_px: int = 0
    blur_deg: float = 0.0
    photons: float = 0.0
    jpeg: int = 0
    seed: int = 0

    def apply(self, image: np.ndarray, number: int) -> np.ndarray:
        """The picture that arrives: `(H, W, 3)` uint8; `number` tells frames apart."""
        seen = image.astype(np.float32) * self.exposure
        if self.blur_px > 1:
            size = self.blur_px | 1
            kernel = np.zeros((size, size), np.float32)
            angle = np.deg2rad(self.blur_deg)
            x, y = (round((size - 1) / 2 * n) for n in (np.cos(angle), np.sin(angle)))
            middle = size // 2
            cv2.line(kernel, (middle - x, middle - y), (middle + x, middle + y), (1.0,))
            seen = cv2.filter2D(seen, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
        seen = np.clip(seen, 0, 255)
        if self.photons:
            rng = np.random.default_rng([self.seed, number])
            seen = rng.poisson(seen * (self.photons / 255)) * (255 / self.photons)
        out = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
        if self.jpeg:
            packed = io.BytesIO()
            Image.fromarray(out).save(packed, "JPEG", quality=self.jpeg)
            out = np.asarray(Image.open(packed))
        return out


def draw_sensor(rng: np.random.Generator, strength: float) -> Sensor:
    """A camera that errs as much as `strength` says; all its faults at a time."""
    return Sensor(
        exposure=float(np.exp(rng.choice([-0.45, 0.3]) * strength)),
        blur_px=round(2 * strength) + 1,
        blur_deg=float(rng.uniform(0, 180)),
        photons=150 / strength**2,
        jpeg=int(np.clip(round(40 / strength), 2, 95)),
        seed=int(rng.integers(2**31)),
    )
