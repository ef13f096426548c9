"""Camera images to latent plans, as fast as the machine can or as the user wants."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_srvs.srv import Trigger

from vilp_ros.canvas import canvas_size, on_canvas, views_on
from vilp_ros.contract import Contract
from vilp_ros.control.age import AgeTracker
from vilp_ros.data.compressed import unpack_colour
from vilp_ros.data.observe import MessageError, seconds
from vilp_ros.data.robot_state import Past, RobotState
from vilp_ros.errors import VilpError
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Rate, Report
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.freshness import Freshness
from vilp_ros.ros.images import ImageError, to_array, to_message
from vilp_ros.ros.lifecycle import ManagedNode
from vilp_ros.ros.messages import to_stamp, unpack_state
from vilp_ros.ros.parameters import PLANNER
from vilp_ros.ros.preview import Planned, Preview
from vilp_ros.ros.process import run
from vilp_ros.ros.slot import Worker
from vilp_ros.ros.steady import speed_of, steady

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Previous

PREVIEW_NICE = 5  # at 10 a busy machine starves it: strips then come at a fraction of the plans


class Observation(NamedTuple):
    """What one plan is made from."""

    stamp_s: float
    views: Image | CompressedImage
    state: RobotState
    previous: RobotState | None


class PlannerNode(ManagedNode):
    """Plans from the newest observation in its own thread; shows the plan from another one.

    Publishes `~/plan` (32FC<channels>, rows x tokens) with the stamp of the observation. What is
    only for the eye (see `Preview`) is made while somebody subscribes, in a thread of lower
    priority that takes the newest plan and drops the others.
    """

    def __init__(self, **options: Any) -> None:
        self._planner: Worker[Observation] | None = None
        self._shower: Worker[Planned] | None = None
        self._preview: Preview | None = None
        self._inputs: list = []
        super().__init__("planner", PLANNER, "controller", **options)

    def _setup(self) -> None:
        from vilp_ros.ros.bundle import load  # torch: only when weights are wanted

        self._contract = Contract.load(find_contract(self._settings.contract))
        steps = self._settings.sampler_steps or None
        samples = self._settings.samples
        self._policy = load(self._settings, self._contract, steps=steps, samples=samples)
        self._spec = self._policy.spec
        self._rows = [list(self._contract.views).index(view) for view in self._spec.views]
        self._seed = int(self._settings.noise_seed)
        self._noise = self._policy.noise(self._seed)
        self._warm_up()
        self._past = Past(self._contract.control_period_s)
        self._views: Image | CompressedImage | None = None
        self._speed = speed_of(self)
        limit_s = self._contract.staleness_s
        self._freshness = Freshness(["observation"], limit_s, steady(self._speed))
        self._age, self._cost, self._rate = AgeTracker(), AgeTracker(), Rate()
        self._error = ""
        self._last: tuple[int, float, NDArray] | None = None
        self._plan_topic = self.create_lifecycle_publisher(Image, "~/plan", qos.NEWEST)
        self._preview = Preview(self, self._policy, self._contract.base_frame)
        kind, topic, profile = Image, "observation/views", qos.LATEST
        if self._settings.jpeg:  # they come over a network
            kind, topic, profile = CompressedImage, f"{topic}/compressed", qos.NEWEST
        self._inputs = [
            self.create_subscription(kind, topic, self._on_views, profile),
            self.create_subscription(JointState, "observation/state", self._on_state, profile),
        ]
        self._service = self.create_service(Trigger, "~/new_episode", self._on_new_episode)

    def _warm_up(self) -> None:
        views = self._spec.views
        images = np.zeros((len(views), *canvas_size(views.values()), 3), np.uint8)
        home = RobotState(np.array([0.4, 0, 0.3, 1, 0, 0, 0]), 0.08, np.zeros(7)).proprio
        for _ in range(3):
            plans = self._policy.imagine(self._policy.encode(images, home, home), self._noise)
            self._policy.decode(plans[0])
            self._policy.ee_path(plans[0])

    def _start(self) -> None:
        assert self._preview is not None
        self._shower = Worker(
            "preview",
            self._preview.show,
            self._on_error,
            period_s=lambda: self._period_s("preview_rate_hz"),
            nice=PREVIEW_NICE,
            rest=1.0,
        )
        self._planner = Worker(
            "planner", self._plan, self._on_error, period_s=lambda: self._period_s("plan_rate_hz")
        )

    def _hold(self) -> None:
        for worker in (self._planner, self._shower):
            if worker is not None:
                worker.stop()
        self._planner = self._shower = None

    def _teardown(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        if self._inputs:
            self.destroy_service(self._service)
            self.destroy_lifecycle_publisher(self._plan_topic)
        if self._preview is not None:
            self._preview.destroy()
        self._inputs, self._preview = [], None
        self._policy = None

    def _period_s(self, name: str) -> float:
        rate = self.get_parameter(name).value
        return 1.0 / (rate * self._speed) if rate > 0 else 0.0

    def _on_views(self, message: Image | CompressedImage) -> None:
        self._views = message
        self._pair()

    def _on_state(self, message: JointState) -> None:
        try:
            state = unpack_state(message, self._contract.proprio.joint_names)
        except MessageError as error:
            self._freshness.refused("observation", str(error))
            return
        self._past.add(seconds(message.header.stamp), state)
        self._pair()

    def _pair(self) -> None:
        """Hand on the newest views with the state of the same stamp and of one period before."""
        if self._views is None or self._planner is None:
            return
        stamp_s = seconds(self._views.header.stamp)
        present = self._past.at(stamp_s, 0.0)
        if present is None:
            return
        views, self._views = self._views, None
        self._freshness.good("observation", self._now_s() - stamp_s)
        previous = self._past.before(stamp_s)
        self._planner.put(Observation(stamp_s, views, present[1], previous))

    def _plan(self, observation: Observation) -> None:
        began = time.monotonic()
        proprio = observation.state.proprio
        before = observation.previous.proprio if observation.previous else None
        images, episode = self._images(observation.views), self._seed
        state = self._policy.encode(images, proprio, before)
        plans = self._policy.imagine(state, self._noise, self._previous(observation.stamp_s))
        if not np.isfinite(plans[0]).all():  # nor may the next one begin from it
            raise VilpError(f"{self._spec.name} made a plan that is not finite; it is not sent")
        self._last = (episode, observation.stamp_s, plans[0])
        rows, tokens, channels = self._spec.plan_shape
        grid = np.asarray(plans[0], np.float32).reshape(rows, tokens, channels)
        stamp = to_stamp(observation.stamp_s)
        self._plan_topic.publish(to_message(grid, f"32FC{channels}", stamp, self._spec.name))
        self._cost.add(time.monotonic() - began)
        self._age.add(self._now_s() - observation.stamp_s)
        self._rate.tick()
        self._error = ""
        if self._shower is not None:
            self._shower.put(Planned(observation.stamp_s, images, plans, episode))

    def _previous(self, stamp_s: float) -> Previous | None:
        """The plan before, if it belongs to this episode and is not newer than `stamp_s`."""
        from vilp_ros.policy.policy import Previous

        if self._last is None:
            return None
        episode, before_s, plan = self._last
        same = episode == self._seed and before_s <= stamp_s
        return Previous(plan, stamp_s - before_s) if same else None

    def _images(self, message: Image | CompressedImage) -> NDArray[np.uint8]:
        sizes = [(view.height, view.width) for view in self._contract.views.values()]
        count, (height, width) = len(sizes), canvas_size(sizes)
        packed = isinstance(message, CompressedImage)
        stacked = unpack_colour(message) if packed else to_array(message)
        found, kind = stacked.shape[:2], "rgb8" if packed else message.encoding
        if (found, kind) != ((count * height, width), "rgb8"):
            raise ImageError(
                f"observation/views is {found[0]}x{found[1]} {kind}, the contract makes it "
                f"{count * height}x{width} rgb8: give both nodes one contract"
            )
        pictures = views_on(stacked.reshape(count, height, width, 3), sizes)
        return on_canvas([pictures[row] for row in self._rows])

    def _on_error(self, error: Exception) -> None:
        self._error = f"{type(error).__name__}: {error}"
        text = self._error if isinstance(error, VilpError) else traceback.format_exc()
        self.get_logger().error(text, throttle_duration_sec=1.0)

    def _on_new_episode(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._seed += 1
        self._noise = self._policy.noise(self._seed)
        self._past.clear()
        response.success, response.message = True, f"sampling noise {self._seed}"
        return response

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _report(self) -> Report:
        age, cost = self._age.ages(), self._cost.ages()
        values: dict[str, object] = {
            "bundle": self._spec.name,
            "noise_seed": self._seed,
            "plan_rate_hz": self._rate.hz,
            "plan_ms_p50": 1e3 * cost.p50_s,
            "plan_ms_p99": 1e3 * cost.p99_s,
            "plan_age_ms_p50": 1e3 * age.p50_s,
            "plan_age_ms_p99": 1e3 * age.p99_s,
            "observations_skipped": self._planner.replaced if self._planner else 0,
            **(self._preview.values() if self._preview else {}),
        }
        complaints = [self._error] if self._error else self._freshness.complaints()
        if complaints:
            return Report(ERROR, complaints[0], values)
        if self._preview and (foreign := self._preview.scene.complaint()):
            return Report(WARN, foreign, values)
        return Report(OK, "planning", values)


def main() -> None:
    """Entry point of the executable `planner_node`."""
    run(PlannerNode)


if __name__ == "__main__":
    main()
