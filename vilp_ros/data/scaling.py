"""From a camera's picture to a policy's view, live and from every recording alike."""

from __future__ import annotations

from typing import Any

import cv2
from numpy.typing import NDArray

Size = tuple[int, int]
_ROWS, _MULTIPLE = 96, 16


def fit(picture: NDArray[Any], size: Size, interpolation: int = cv2.INTER_AREA) -> NDArray[Any]:
    """The middle of a picture (H, W, ...), in the proportions of `size`, scaled to it."""
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    scale = min(height / size[0], width / size[1])
    rows, columns = max(1, round(scale * size[0])), max(1, round(scale * size[1]))
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = picture[top : top + rows, left : left + columns]
    return cv2.resize(middle, size[::-1], interpolation=interpolation)


def fitting_size(height: int, width: int) -> Size:
    """A size for a policy's view: at most 96 rows, about these proportions, multiples of 16."""
    rows = min(_ROWS, max(_MULTIPLE, height // _MULTIPLE * _MULTIPLE))
    return rows, max(_MULTIPLE, round(rows * width / height / _MULTIPLE) * _MULTIPLE)
