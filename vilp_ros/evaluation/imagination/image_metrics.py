"""How alike two pictures are: overall, where something moves, and around the object."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

BOX_MARGIN = 4  # pixels around the object
MIN_OBJECT_PIXELS = 8
MOVING_LEVELS = 20  # grey levels of any colour: well above the noise of a renderer or a camera
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def object_box(image: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of a box around the object to handle; None where it is (almost) hidden.

    Found by colour, since that needs neither the simulator nor its state: in every scene the
    object is the only red thing, in light and in shade.

    Args:
        image: `(H, W, 3)` uint8 rgb.
    """
    r, g, b = np.moveaxis(image.astype(np.int16), -1, 0)
    rows, columns = np.nonzero((r > 45) & (r > 2 * g) & (r > 2 * b))
    if len(rows) < MIN_OBJECT_PIXELS:
        return None
    return (
        slice(max(rows.min() - BOX_MARGIN, 0), rows.max() + BOX_MARGIN + 1),
        slice(max(columns.min() - BOX_MARGIN, 0), columns.max() + BOX_MARGIN + 1),
    )


def object_mask(image: np.ndarray) -> np.ndarray:
    """`(H, W)` bool: pixels in `object_box`; none where there is no box."""
    mask = np.zeros(image.shape[:2], bool)
    box = object_box(image)
    if box is not None:
        mask[box] = True
    return mask


def moving_mask(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`(H, W)` bool: pixels that differ by more than `MOVING_LEVELS` in any colour."""
    return np.abs(image.astype(np.int16) - reference.astype(np.int16)).max(-1) > MOVING_LEVELS


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error of values in 0..255."""
    return float(10 * np.log10(255**2 / max(mean_squared_error, 1e-6)))


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity at every pixel, mean of the colours (Wang et al. 2004).

    Args:
        a: `(H, W, 3)`, values in 0..255.
        b: the same.

    Returns:
        `(H, W)` float32, 1 where they are alike; Gaussian window of 11 pixels, sigma 1.5.
    """
    x, y = a.astype(np.float32), b.astype(np.float32)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return (luminance * structure).mean(-1)


def _blur(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (11, 11), _SIGMA)


class Likeness:
    """Pools the errors of many pairs of pictures: PSNR and SSIM, each on three sets of pixels.

    Errors are pooled over pixels, so that a picture in which little moves weighs little in the
    figures of what moves.
    """

    REGIONS = ("all", "moving", "object")

    def __init__(self) -> None:
        self._squared = dict.fromkeys(self.REGIONS, 0.0)
        self._similar = dict.fromkeys(self.REGIONS, 0.0)
        self._count = dict.fromkeys(self.REGIONS, 0)

    def add(self, drawn: np.ndarray, real: np.ndarray, reference: np.ndarray) -> None:
        """Counts one pair.

        Args:
            drawn: `(H, W, 3)` uint8, to be judged.
            real: `(H, W, 3)` uint8, the truth.
            reference: `(H, W, 3)` uint8; what differs from it in `real` has moved.
        """
        squared = ((drawn.astype(np.float32) - real) ** 2).mean(-1)
        similar = ssim_map(drawn, real)
        everywhere = np.ones(squared.shape, bool)
        masks = (everywhere, moving_mask(real, reference), object_mask(real))
        for region, mask in zip(self.REGIONS, masks, strict=True):
            self._squared[region] += float(squared[mask].sum())
            self._similar[region] += float(similar[mask].sum())
            self._count[region] += int(mask.sum())

    @classmethod
    def pooled(cls, parts: Iterable[Likeness]) -> Likeness:
        """All pairs of all parts."""
        whole = cls()
        for part in parts:
            for region in cls.REGIONS:
                whole._squared[region] += part._squared[region]
                whole._similar[region] += part._similar[region]
                whole._count[region] += part._count[region]
        return whole

    def figures(self) -> dict[str, float | None]:
        """`{psnr_db, ssim, psnr_moving_db, ssim_moving, psnr_object_db, ssim_object}`.

        None where no pixel was of that region.
        """
        figures: dict[str, float | None] = {}
        for region, n in self._count.items():
            end = "" if region == "all" else f"_{region}"
            figures[f"psnr{end}_db"] = psnr(self._squared[region] / n) if n else None
            figures[f"ssim{end}"] = self._similar[region] / n if n else None
        return figures
