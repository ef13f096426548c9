"""What is only for the eye: decoded plans, planned paths, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from nav_msgs.msg import Path
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, JointState
from visualization_msgs.msg import MarkerArray

from vilp_ros.evaluation.imagination.gap import Gap, GapTracker, Imagination
from vilp_ros.evaluation.imagination.scene import SceneWatch
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import Rate
from vilp_ros.ros.images import to_message
from vilp_ros.ros.messages import to_imagination, to_joint_state, to_markers, to_path, to_stamp

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy  # torch


class Planned(NamedTuple):
    """A plan on its way to the eye.

    Attributes:
        stamp_s: of the observation.
        images: `(V, H, W, 3)` uint8 of the observation, views in the policy's order.
        plans: `(N, T + 1, C)`: N imaginations, of which the first is executed.
        episode: a number that changes when a new episode begins.
    """

    stamp_s: float
    images: NDArray[np.uint8]
    plans: NDArray[np.float32]
    episode: int


class Preview:
    """Publishes for one policy what somebody subscribes to, and keeps the imagination gap.

    Attributes:
        scene: whether it looks as in training, as long as pictures are decoded.

    Args:
        node: whose topics these are.
        policy: its decoders and low-level networks are run by nobody else. Of one that imagines no
            frames only path and markers are shown.
        base_frame: of paths and markers.
    """

    def __init__(self, node: LifecycleNode, policy: Policy, base_frame: str) -> None:
        self._node, self._policy, self._base_frame = node, policy, base_frame
        spec, create = policy.spec, node.create_lifecycle_publisher
        self._strip = create(Image, "~/predicted_frames", qos.LATEST)
        self._imaginations = create(Image, "~/imaginations", qos.LATEST)
        self._path = create(Path, "~/plan_path", qos.LATEST)
        self._markers = create(MarkerArray, "~/plan_markers", qos.LATEST)
        self._gaps = create(JointState, "~/imagination_gap", qos.LATEST)
        self._names = [f"{view}.{kind}" for kind in ("latent", "pixels") for view in spec.views]
        self._tracker = GapTracker(spec.plan_shape[0], spec.row_period_s, spec.control_period_s / 2)
        self.scene = SceneWatch(spec.views, spec.unlike_above)
        self._imagines = policy.plans_states and bool(spec.views)
        self._episode = 0
        self._gap: Gap | None = None
        self._rate = Rate()

    def destroy(self) -> None:
        """Takes the topics away."""
        topics = (self._strip, self._imaginations, self._path, self._markers, self._gaps)
        for topic in topics:
            self._node.destroy_lifecycle_publisher(topic)

    def show(self, planned: Planned) -> None:
        """Decodes and publishes what is looked at; takes tens of milliseconds."""
        stamp = to_stamp(planned.stamp_s)
        all_seen = self._imaginations.get_subscription_count() > 0
        looked_at = (self._strip, self._imaginations, self._gaps)
        frames = []
        if self._imagines and any(topic.get_subscription_count() for topic in looked_at):
            shown = planned.plans if all_seen else planned.plans[:1]
            frames = [self._policy.decode(plan) for plan in shown]
            strips = [strip_of(decoded) for decoded in frames]
            self._strip.publish(to_message(strips[0], "rgb8", stamp))
            self._rate.tick()
            if all_seen:
                self._imaginations.publish(to_message(np.concatenate(strips), "rgb8", stamp))
        if self._imagines:
            self._watch(planned, frames[0] if frames else None)
        self._draw(planned)

    def values(self) -> dict[str, object]:
        """For diagnostics: strips a second, and the newest gap of each view."""
        values: dict[str, object] = {"strip_rate_hz": self._rate.hz}
        gap = self._gap
        if gap is not None:
            latents = zip(self._policy.spec.views, gap.latent)
            values |= {f"imagination_gap.{view}": float(value) for view, value in latents}
        return values | {f"unlike.{view}": value for view, value in self.scene.values().items()}

    def _watch(self, planned: Planned, frames: NDArray[np.uint8] | None) -> None:
        if planned.episode != self._episode:
            self._episode = planned.episode
            self._tracker.clear()
            self.scene.clear()
        if frames is not None:
            self.scene.observe(planned.images, frames[0])
        latents = self._policy.latents(planned.plans[0])
        seen = Imagination(planned.stamp_s, latents, planned.images, frames)
        gap = self._tracker.observe(seen)
        if gap is None:
            return
        self._gap = gap
        pixels = np.full(len(gap.latent), np.nan) if gap.pixels is None else gap.pixels
        scene = self.scene.values()
        values = np.concatenate([gap.latent, pixels, [gap.ahead_s], [*scene.values()]])
        names = [*self._names, "ahead_s", *(f"{view}.unlike" for view in scene)]
        self._gaps.publish(to_joint_state(names, values, to_stamp(gap.stamp_s)))

    def _draw(self, planned: Planned) -> None:
        drawn = self._markers.get_subscription_count()
        if not drawn and not self._path.get_subscription_count():
            return
        stamp, base = to_stamp(planned.stamp_s), self._base_frame
        poses, widths = self._policy.ee_path(planned.plans[0])
        period_s = self._policy.spec.row_period_s
        self._path.publish(to_path(poses, planned.stamp_s, period_s, base))
        if drawn:
            message = to_markers(poses, widths, stamp, base)
            for k, plan in enumerate(planned.plans[1:], 1):
                others = self._policy.ee_path(plan)[0]
                message.markers.append(to_imagination(others, k, stamp, base))
            self._markers.publish(message)


def strip_of(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(T, V, H, W, 3)` to `(V H, T W, 3)`: a row a view, a column a time."""
    t, v, h, w, _ = frames.shape
    return frames.transpose(1, 2, 0, 3, 4).reshape(v * h, t * w, 3)
