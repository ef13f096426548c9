"""A method for vilp_ros from another package: the hand follows what is red in its own camera.

Nothing is learned here, so that all there is to see is how a policy is connected. Yours would load
its weights in `__init__` (or ask a server for its chunk) and run them in `chunk`.
"""

from dataclasses import dataclass

import numpy as np

from vilp_ros.geometry import proprio_to_ee
from vilp_ros.policy.chunk_policy import ChunkPolicy, Seen
from vilp_ros.policy.config import PolicyConfig


@dataclass
class Options:
    """What a bundle's `policy.options` may say.

    Attributes:
        view: camera on the hand, whose upper edge looks ahead (+x of the base).
        speed: metres a second at most.
        gain: metres for half a picture.
    """

    view: str = "eye_in_hand"
    speed: float = 0.1
    gain: float = 0.1


class SeekRed(ChunkPolicy):
    """Moves the hand sideways until what is red is in the middle of the picture."""

    versions = (1,)
    Options = Options

    @classmethod
    def small(cls) -> PolicyConfig:
        """The configuration that an untrained bundle gets; here it is the only one."""
        # Two seconds: a plan that comes late is still good for something.
        return PolicyConfig(method="seek_red", horizon=40, n_action_steps=20, engine="torch")

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._options = self.options(self.spec.policy)
        self._view = list(self.spec.views).index(self._options.view)

    def chunk(self, state: Seen, noise: np.ndarray) -> np.ndarray:
        """Absolute actions `(40, 8)`: pose in the base frame and gripper width, one a period."""
        pose, width = proprio_to_ee(state.proprio)
        way = self._direction(state.images[self._view]) * self._options.gain
        far = max(float(np.linalg.norm(way)), 1e-9)
        seconds = self.spec.control_period_s * np.arange(1, self.spec.n_actions + 1)
        done = np.minimum(1.0, self._options.speed * seconds / far)
        actions = np.tile(np.append(pose, width), (self.spec.n_actions, 1))
        actions[:, :2] += done[:, None] * way
        return actions

    def _direction(self, image: np.ndarray) -> np.ndarray:
        """`(2,)` x and y of the base, in half pictures; nought where nothing is red."""
        red, green, blue = np.moveaxis(image.astype(float), -1, 0)
        places = np.argwhere((red > 60) & (red > 1.6 * green) & (red > 1.6 * blue))
        if len(places) < 10:
            return np.zeros(2)
        middle = np.array(image.shape[:2]) / 2
        up, left = (middle - places.mean(axis=0)) / middle
        return np.array([up, left])
