"""Pictures of several views as one array, also where their sizes differ.

A canvas is as high and as wide as the largest; a smaller view lies in its upper left corner, on
black.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Size = tuple[int, int]
"""Height and width of a frame."""


def canvas_size(sizes: Iterable[Size]) -> Size:
    """(H, W) that holds views of these; (0, 0) of none."""
    found = list(sizes)
    return max((h for h, _ in found), default=0), max((w for _, w in found), default=0)


def on_canvas(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures `(..., H, W, 3)`, a view each, as `(..., V, H, W, 3)`; `(0, 0, 0, 3)` of none."""
    if not len(pictures):
        return np.zeros((0, 0, 0, 3), np.uint8)
    height, width = canvas_size((p.shape[-3], p.shape[-2]) for p in pictures)
    stacked = np.zeros(
        (*pictures[0].shape[:-3], len(pictures), height, width, 3), pictures[0].dtype
    )
    for view, picture in enumerate(pictures):
        stacked[..., view, : picture.shape[-3], : picture.shape[-2], :] = picture
    return stacked


def views_on(canvas: np.ndarray, sizes: Iterable[Size]) -> list[np.ndarray]:
    """The pictures `(..., H, W, 3)` of `on_canvas` again, as views into it."""
    return [canvas[..., view, :height, :width, :] for view, (height, width) in enumerate(sizes)]
