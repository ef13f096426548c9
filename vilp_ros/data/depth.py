"""Depth as a picture, so that all that sees pictures sees depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grey_depth(depth_m: NDArray[np.floating], range_m: tuple[float, float]) -> NDArray[np.uint8]:
    """Depth as three equal channels (VILP repeats it so), black at `near`, white at `far`.

    One grey level is (far - near) / 255: 4.7 mm over 0.4 to 1.6 m. Choose the range no wider than
    what the task needs.

    Args:
        depth_m: (H, W) metres along the optical axis; NaN and 0 are no return, infinities out of
            range (REP 117).
        range_m: (near, far).

    Returns:
        (H, W, 3) uint8; what is out of range is at its bound, no return is far.
    """
    near, far = range_m
    seen = np.where(np.isnan(depth_m) | (depth_m == 0), far, depth_m)
    grey = np.rint((np.clip(seen, near, far) - near) * (255 / (far - near))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
