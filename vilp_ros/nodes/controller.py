"""Latent plans to commands: inverse dynamics, timeline, limits, watchdog."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from vilp_ros.contract import Contract
from vilp_ros.control.age import AgeTracker
from vilp_ros.control.fit import Fit
from vilp_ros.control.intake import Intake
from vilp_ros.control.lead import Lead
from vilp_ros.control.limits import UnsafeCommandError
from vilp_ros.control.timeline import ActionTimeline
from vilp_ros.control.watchdog import Watchdog
from vilp_ros.data.observe import MessageError, seconds
from vilp_ros.data.robot_state import RobotState
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of
from vilp_ros.ros import qos
from vilp_ros.ros.commands import LEAD_S, Commands
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Report
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.images import to_array
from vilp_ros.ros.lifecycle import ManagedNode
from vilp_ros.ros.messages import to_stamp, unpack_state
from vilp_ros.ros.parameters import CONTROLLER
from vilp_ros.ros.process import run
from vilp_ros.ros.slot import Worker
from vilp_ros.ros.steady import speed_of, steady

Array = NDArray[np.float64]


class ControllerNode(ManagedNode):
    """Executes plans by the clock, and holds whenever it has no right to move.

    Holding is sending the last command again. It holds when the plan is used up, when plans or
    observations stay away longer than the contract's `staleness_s` on a steady clock, and when the
    limits refuse a command; it goes on by itself with the next plan. Each command that a plan made
    is followed by `~/command_source`, stamped like the image which that plan came from.

    Where the contract gives accelerations and jerks, what leaves is one motion within them: rolled
    out when a plan arrives, sent whole or as a stream, and brought to rest when it must hold.
    """

    def __init__(self, **options: Any) -> None:
        self._worker: Worker[Image] | None = None
        self._entities: list = []
        # Reading the clock and telling the timeline belong together: a thread that pauses between
        # the two would come with an earlier time than the other, as if the clock had been set.
        self._timing = threading.Lock()
        super().__init__("controller", CONTROLLER, "planner", **options)

    def _setup(self) -> None:
        from vilp_ros.ros.bundle import load  # torch: only when weights are wanted

        self._contract = contract = Contract.load(find_contract(self._settings.contract))
        self._policy = load(self._settings, contract)
        self._spec, self._kind = self._policy.spec, contract.action.sends
        self._kinematics, self._fit, self._misfit = None, None, ""
        if self._kind != contract.action.kind:
            self._kinematics = kinematics_of(contract)
            if contract.proprio.ee_pose_topic is not None:
                self._fit = Fit(contract, self._kinematics)
        self._intake = Intake(contract, self._kinematics)
        self._noise = self._policy.noise(self._settings.noise_seed)
        rows, _, channels = self._spec.plan_shape
        for _ in range(3):
            self._policy.act(np.zeros((rows, channels), np.float32), self._noise)
        self._timeline = ActionTimeline(
            self._kind,
            contract.control_period_s,
            self._settings.n_action_steps or self._spec.n_action_steps,
            self._settings.crossfade_s,
            contract.action.latency_s,
            self._settings.slow_s,
            self._settings.fade_in_s,
            contract.staleness_s,
            contract.action_size(self._kind),
        )
        whole = contract.action.transport == "joint_trajectory"
        self._lead = Lead(contract.limits, self._kind, LEAD_S if whole else 0.0)
        self._speed = speed_of(self)
        self._steady_s = steady(self._speed)
        limits_s = dict.fromkeys(("plan", "observation"), contract.staleness_s)
        self._watchdog = Watchdog(limits_s, self._steady_s)
        self._age = AgeTracker()
        self._enabled, self._executing = bool(self._settings.enabled), False
        self._waits = ""  # why nothing may be sent yet, nor planned for that
        self._state: RobotState | None = None
        self._refusal, self._refused_count = "", 0
        self._ends_s, self._disabled = math.inf, "disabled"
        self._lead.forget("waiting for the first plan")
        self._make_topics()

    def _make_topics(self) -> None:
        self._commands = Commands(self, self._contract, self._settings.command_rate_hz)
        self._source = self.create_lifecycle_publisher(Header, "~/command_source", qos.LATEST)
        topics = (
            (Image, "planner/plan", self._on_plan, qos.NEWEST),
            (JointState, "observation/state", self._on_state, qos.LATEST),
        )
        subscriptions = [self.create_subscription(*topic) for topic in topics]
        enable = self.create_service(SetBool, "~/enable", self._on_enable)
        self._entities = [
            (self.destroy_lifecycle_publisher, self._source),
            *((self.destroy_subscription, s) for s in subscriptions),
            (self.destroy_service, enable),
        ]

    def _start(self) -> None:
        self._worker = Worker("inverse dynamics", self._act, self._on_error)
        self._timeline.clear(self._now_s())
        self._lead.forget("waiting for the first plan")
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._last_tick_s = self._steady_s()
        period_s = 1.0 / (self._settings.command_rate_hz * self._speed)
        self._timer = self.create_timer(period_s, self._tick, clock=clock)

    def _hold(self) -> None:
        self.destroy_timer(self._timer)
        self._keep("deactivated")
        self._lead.forget("deactivated")
        self._commands.release()
        if self._worker is not None:
            self._worker.stop()
        self._worker = None

    def _teardown(self) -> None:
        for destroy, entity in self._entities:
            destroy(entity)
        if self._entities:
            self._commands.destroy()
        self._entities = []
        self._policy = None

    def _on_plan(self, message: Image) -> None:
        if self._worker is None:
            return
        rows, tokens, channels = self._spec.plan_shape
        wanted = (rows, tokens, f"32FC{channels}", self._spec.name)
        found = (message.height, message.width, message.encoding, message.header.frame_id)
        if found != wanted:
            self._refuse(
                "plan is {}x{} {} of bundle '{}'".format(*found)
                + ", this controller loaded {}x{} {} of '{}'".format(*wanted)
                + ": give planner and controller one model"
            )
            return
        if self._enabled and not self._waits:
            self._worker.put(message)

    def _on_state(self, message: JointState) -> None:
        try:
            self._state = state = unpack_state(message, self._contract.proprio.joint_names)
        except MessageError as error:
            self._refuse(f"observation/state: {error}")
            return
        if self._fit is not None:
            at_s = self._steady_s()
            self._misfit = self._fit.misfit(state.joint_position, state.ee_pose, at_s)
        self._watchdog.feed("observation")

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data:
            self._timeline.clear(self._now_s())
            self._lead.forget("waiting for the first plan")
            limit_s = float(self.get_parameter("time_limit_s").value)
            self._ends_s = self._steady_s() + limit_s if limit_s else math.inf
            self._enabled = True
        else:
            self._disable("disabled")
        response.success = True
        response.message = "accepts plans from now on" if request.data else "holds, plans cleared"
        return response

    def _disable(self, why: str) -> None:
        """Come to rest, and take no plans until `~/enable`."""
        self._timeline.clear(self._now_s())
        self._enabled, self._disabled = False, why
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        self._keep(self._disabled)
        if self._lead.rests(self._now_s()):
            self._lead.forget(self._disabled)

    def _act(self, message: Image) -> None:
        rows, _, channels = self._spec.plan_shape
        plan = to_array(message).reshape(rows, channels)
        if not np.isfinite(plan).all():  # networks make numbers of what is none
            self._refuse(f"plan is not finite: {np.argwhere(~np.isfinite(plan))[0]}")
            return
        actions = self._policy.act(plan, self._noise)
        stamp_s, state = seconds(message.header.stamp), self._state
        present = None if state is None else state.as_action(self._kind)
        if state is not None and np.isfinite(actions).all():
            near = state.joint_position
            if self._kind == "joint_position" and self._lead.command is not None:
                near = self._lead.command[:-1]
            try:
                age_s = self._now_s() - stamp_s
                here = state.as_action
                actions = self._intake.take(np.asarray(actions, np.float64), age_s, here, near)
            except VilpError as error:
                self._refuse(str(error))
                return
        with self._timing:
            outcome = self._timeline.submit(stamp_s, actions, self._now_s(), present)
        if isinstance(outcome, str):
            self._refuse(outcome)
        else:
            self._refusal, self._lead.news = "", True
            self._watchdog.feed("plan")

    def _on_error(self, error: Exception) -> None:
        self._refuse(f"{type(error).__name__}: {error}")

    def _refuse(self, why: str) -> None:
        self._refusal, self._refused_count = why, self._refused_count + 1
        self.get_logger().warning(f"refused: {why}", throttle_duration_sec=1.0)

    def _tick(self) -> None:
        elapsed_s = self._steady_s() - self._last_tick_s
        self._last_tick_s += elapsed_s
        executing, lead = bool(self.get_parameter("execute").value), self._lead
        if executing and not self._executing:
            lead.command = None  # what was only imagined is no place to start from
        self._executing = executing
        if executing and (self._enabled or lead.command is not None):
            self._waits = self._commands.claim()
        else:
            self._waits = ""
            self._commands.release()
        if self._waits:
            lead.command = None  # the next one starts from where the arm is by then
            self._timeline.clear(self._now_s())
            self._keep(self._waits)
            return
        if self._enabled and self._steady_s() >= self._ends_s:
            self._disable("disabled: time_limit_s is over; call ~/enable to go on")
        if not self._enabled:
            if lead.command is not None:
                self._come_to_rest()
            return
        verdict = self._watchdog.check()
        with self._timing:
            now_s = self._now_s()
            sample = self._timeline.sample(now_s)
        stop = verdict.reason or self._misfit
        if stop or sample is None or sample.exhausted:
            why = stop or "the plan is used up and no newer one came"
            self._keep(why, brake=bool(stop))
            return
        assert self._state is not None  # the watchdog holds until an observation came
        measured = self._state.as_action(self._kind)
        try:
            lead.follow(self._timeline, sample, measured, now_s, elapsed_s)
        except UnsafeCommandError as error:
            self._keep(str(error))
            return
        if executing and self._commands.whole and lead.came_late(self._now_s()):
            why = "a trajectory was ready too late (a busy computer): the one before goes on"
            self.get_logger().warning(why, throttle_duration_sec=1.0)
        self._age.add(now_s - sample.source_stamp_s)
        if executing:
            self._send(now_s)
            self._source.publish(Header(stamp=to_stamp(sample.source_stamp_s)))

    def _keep(self, why: str, brake: bool = True) -> None:
        """Hold: see `Lead.hold`."""
        now_s = self._now_s()
        self._lead.hold("; ".join(filter(None, (why, self._refusal))), now_s, brake)
        if self._executing:
            self._send(now_s)

    def _send(self, now_s: float) -> None:
        motion, command = self._lead.rolled_out(), self._lead.command
        if command is None:
            return
        stamp = to_stamp(now_s)
        if not self._commands.whole:
            self._commands.stream(command, stamp)
        elif motion is not None:
            self._commands.trajectory(motion.start_s, motion.motions)
        if self._kinematics is not None:
            self._commands.pose(self._kinematics.forward(command[:-1]), stamp)
        self._commands.width(float(command[-1]), stamp)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _report(self) -> Report:
        age, lead = self._age.ages(), self._lead
        values: dict[str, object] = {
            "execute": self._executing,
            "enabled": self._enabled,
            "holding": not lead.moving,
            "hold_reason": lead.reason,
            "holds": lead.holds,
            "command_age_ms_p50": 1e3 * age.p50_s,
            "command_age_ms_p99": 1e3 * age.p99_s,
            "limits_acted": ", ".join(f"{name}: {n}" for name, n in sorted(lead.acted.items())),
            "max_step": lead.max_step,
            "trajectories_late": lead.late,
            "plans_refused": self._refused_count,
            "plans_slowed": self._intake.slowed,
            "last_finding": self._intake.finding,
        }
        if not self._enabled:
            return Report(OK, self._disabled, values)
        if rivals := self._commands.rivals():
            topic = self._commands.topic
            return Report(ERROR, f"{rivals} other publishers on {topic}: end them", values)
        if not lead.moving:
            return Report(ERROR, f"holding: {lead.reason}", values)
        what = "executing" if self._executing else "shadow: nothing is sent"
        if lead.acting:
            return Report(WARN, f"{what}, limited by {', '.join(lead.acting)}", values)
        if problem := self._commands.problem:
            return Report(WARN, f"{what}; {problem}", values)
        return Report(OK, what, values)


def main() -> None:
    """Entry point of the executable `controller_node`."""
    run(ControllerNode)


if __name__ == "__main__":
    main()
