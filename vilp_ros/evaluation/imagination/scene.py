"""Does the scene look as it did in training? By how badly the policy gives back what it sees.

A frame that was never like those of the training decodes to something else than itself, at the
first picture and before anything moves. It tells that a scene is foreign, not that the arm will
fail in it: a robust encoder sees past most of what this tells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from vilp_ros.canvas import Size, views_on
from vilp_ros.evaluation.imagination.gap import distance

QUANTILE = 0.99
"""Share of held-out frames of the training that are below the limit."""
_LOOKS = 9


class SceneWatch:
    """Keeps the last looks at a scene.

    Args:
        views: their sizes, in the order of the pictures.
        limits: by view, root mean square grey levels between a frame and itself decoded, under
            which `QUANTILE` of held-out frames were; none are watched without.
    """

    def __init__(self, views: Mapping[str, Size], limits: Mapping[str, float]) -> None:
        self._views = [view for view in views if view in limits]
        self._index = [list(views).index(view) for view in self._views]
        self._sizes = list(views.values())
        self._limits = np.array([limits[view] for view in self._views])
        self._seen: deque[np.ndarray] = deque(maxlen=_LOOKS)

    def clear(self) -> None:
        """Forgets, as after a reset of the scene."""
        self._seen.clear()

    def observe(self, images: np.ndarray, decoded: np.ndarray) -> None:
        """Looks once more: pictures `(V, H, W, 3)`, and what of them came back."""
        if self._views:
            pairs = zip(views_on(images, self._sizes), views_on(decoded, self._sizes), strict=True)
            self.add(np.concatenate([distance(seen[None], drawn[None]) for seen, drawn in pairs]))

    def add(self, apart: np.ndarray) -> None:
        """A look whose pictures and what came back are this far `apart`, `(V,)` grey levels."""
        if self._views:
            self._seen.append(apart[self._index] / self._limits)

    def values(self) -> dict[str, float]:
        """Median of the last looks by view, over the limit."""
        if not self._seen:
            return {}
        medians = np.median(self._seen, axis=0).tolist()
        return dict(zip(self._views, medians, strict=True))

    def complaint(self) -> str | None:
        """What to say, once most of `_LOOKS` looks are above the limit."""
        if len(self._seen) < _LOOKS:
            return None
        above = {view: x for view, x in self.values().items() if x > 1}
        if not above:
            return None
        each = ", ".join(f"{view} {x:.1f} times" for view, x in above.items())
        return f"this scene is unlike the training data: {each} the limit of its frames"
