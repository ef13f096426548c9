"""Latent plans to commands: inverse dynamics, timeline, limits, watchdog."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from vilp_ros.contract import Contract
from vilp_ros.control.age import AgeTracker
from vilp_ros.control.horizon import Horizon
from vilp_ros.control.kinematics import Kinematics
from vilp_ros.control.limits import SafetyLimits, UnsafeCommandError
from vilp_ros.control.precheck import PreCheck
from vilp_ros.control.timeline import ActionTimeline, Sample
from vilp_ros.control.watchdog import Watchdog
from vilp_ros.data.observe import MessageError, seconds
from vilp_ros.data.robot_state import RobotState
from vilp_ros.errors import VilpError
from vilp_ros.nodes import qos
from vilp_ros.nodes.commands import LEAD_S, Commands
from vilp_ros.nodes.diagnostics import ERROR, OK, WARN, Report
from vilp_ros.nodes.files import find_contract
from vilp_ros.nodes.images import to_array
from vilp_ros.nodes.lifecycle import ManagedNode
from vilp_ros.nodes.messages import to_stamp, unpack_state
from vilp_ros.nodes.parameters import CONTROLLER
from vilp_ros.nodes.process import run
from vilp_ros.nodes.slot import Worker

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
        super().__init__("controller", CONTROLLER, **options)

    def _setup(self) -> None:
        from vilp_ros.nodes.bundle import load  # torch: only when weights are wanted

        self._contract = contract = Contract.load(find_contract(self._settings.contract))
        self._policy = load(self._settings, contract)
        self._spec, self._kind = self._policy.spec, contract.action.sends
        self._kinematics = None
        if self._kind != contract.action.kind:
            assert contract.arm is not None  # the contract was checked
            self._kinematics = Kinematics(contract.arm, contract.limits.joint_position)
        self._checks = {}
        if contract.limits.precheck != "off":
            slow = contract.limits.precheck == "slow"
            self._checks = {
                kind: PreCheck(contract.limits, kind, contract.control_period_s, slow)
                for kind in (contract.action.kind, self._kind)
            }
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
        )
        smooth = contract.limits.dynamic(self._kind)
        whole = contract.action.transport == "joint_trajectory"
        lead_s = LEAD_S if whole else 0.0
        self._horizon = Horizon(contract.limits, self._kind, lead_s) if smooth else None
        self._news = False  # a plan that is not yet rolled out
        self._slowed, self._finding = 0, ""
        self._limits = SafetyLimits(contract.limits, self._kind)
        self._watchdog = Watchdog(dict.fromkeys(("plan", "observation"), contract.staleness_s))
        self._age = AgeTracker()
        self._enabled, self._executing = bool(self._settings.enabled), False
        self._waits = ""  # why nothing may be sent yet, nor planned for that
        self._state: RobotState | None = None
        self._refusal, self._refused_count = "", 0
        self._holds, self._acted, self._max_step = 0, Counter[str](), 0.0
        self._stop_moving("waiting for the first plan")
        self._make_topics()

    def _make_topics(self) -> None:
        self._commands = Commands(self, self._contract, self._settings.command_rate_hz)
        self._source = self.create_lifecycle_publisher(Header, "~/command_source", qos.LATEST)
        topics = (
            (Image, "planner/plan", self._on_plan),
            (JointState, "observation/state", self._on_state),
        )
        subscriptions = [self.create_subscription(*topic, qos.LATEST) for topic in topics]
        enable = self.create_service(SetBool, "~/enable", self._on_enable)
        self._entities = [
            (self.destroy_lifecycle_publisher, self._source),
            *((self.destroy_subscription, s) for s in subscriptions),
            (self.destroy_service, enable),
        ]

    def _start(self) -> None:
        self._worker = Worker("inverse dynamics", self._act, self._on_error)
        self._timeline.clear(self._now_s())
        self._stop_moving("waiting for the first plan")
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._last_tick_s = time.monotonic()
        period_s = 1.0 / self._settings.command_rate_hz
        self._timer = self.create_timer(period_s, self._tick, clock=steady)

    def _hold(self) -> None:
        self.destroy_timer(self._timer)
        self._keep("deactivated")
        self._stop_moving("deactivated")
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
        if not self._waits:
            self._worker.put(message)

    def _on_state(self, message: JointState) -> None:
        try:
            self._state = unpack_state(message, self._contract.proprio.joint_names)
        except MessageError as error:
            self._refuse(f"observation/state: {error}")
            return
        self._watchdog.feed("observation")

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._timeline.clear(self._now_s())
        if request.data or self._horizon is None:
            self._stop_moving("waiting for the first plan" if request.data else "disabled")
        else:
            self._keep("disabled")
        self._enabled = request.data
        response.success = True
        response.message = "accepts plans from now on" if request.data else "holds, plans cleared"
        return response

    def _act(self, message: Image) -> None:
        rows, _, channels = self._spec.plan_shape
        actions = self._policy.act(to_array(message).reshape(rows, channels), self._noise)
        stamp_s, state = seconds(message.header.stamp), self._state
        present = None if state is None else state.as_action(self._kind)
        if state is not None and np.isfinite(actions).all():
            prepared = self._prepared(np.asarray(actions, np.float64), stamp_s, state)
            if prepared is None:
                return
            actions = prepared
        with self._timing:
            outcome = self._timeline.submit(stamp_s, actions, self._now_s(), present)
        if isinstance(outcome, str):
            self._refuse(outcome)
        else:
            self._refusal, self._news = "", True
            self._watchdog.feed("plan")

    def _prepared(self, actions: Array, stamp_s: float, state: RobotState) -> Array | None:
        """The plan as it may be sent: checked, slowed, in joints; None if it is refused."""
        kind = self._contract.action.kind
        checked = self._checked(kind, actions, stamp_s, state)
        if checked is None or self._kinematics is None:
            return checked
        near = state.joint_position if self._command is None else self._command[:7]
        try:
            joints = self._kinematics.inverse_path(checked[:, :7], near)
        except VilpError as error:
            self._refuse(str(error))
            return None
        return self._checked(self._kind, np.hstack([joints, checked[:, 7:]]), stamp_s, state)

    def _checked(
        self, kind: str, actions: Array, stamp_s: float, state: RobotState
    ) -> Array | None:
        if kind not in self._checks:
            return actions
        first = int(np.ceil((self._now_s() - stamp_s) / self._contract.control_period_s))
        judgement = self._checks[kind].judge(actions, max(0, first), state.as_action(kind))
        if judgement.actions is None:
            self._refuse(f"plan: {'; '.join(judgement.findings)}")
        elif judgement.findings:
            self._slowed += 1
            self._finding = judgement.findings[0]
        return judgement.actions

    def _on_error(self, error: Exception) -> None:
        self._refuse(f"{type(error).__name__}: {error}")

    def _refuse(self, why: str) -> None:
        self._refusal, self._refused_count = why, self._refused_count + 1
        self.get_logger().warning(f"refused: {why}", throttle_duration_sec=1.0)

    def _tick(self) -> None:
        elapsed_s = time.monotonic() - self._last_tick_s
        self._last_tick_s += elapsed_s
        executing = bool(self.get_parameter("execute").value)
        if executing and not self._executing:
            self._command = None  # what was only imagined is no place to start from
        self._executing = executing
        if executing and (self._enabled or self._command is not None):
            self._waits = self._commands.claim()
        else:
            self._waits = ""
            self._commands.release()
        if self._waits:
            self._command = None  # the next one starts from where the arm is by then
            self._timeline.clear(self._now_s())
            self._keep(self._waits)
            return
        if not self._enabled:
            if self._horizon is not None and self._command is not None:
                self._keep("disabled")  # it has yet to come to rest
                if self._horizon.over(self._now_s()):
                    self._stop_moving("disabled")
            return
        verdict = self._watchdog.check()
        with self._timing:
            now_s = self._now_s()
            sample = self._timeline.sample(now_s)
        if verdict.holding or sample is None or sample.exhausted:
            why = verdict.reason or "the plan is used up and no newer one came"
            self._keep(why, brake=verdict.holding)
            return
        try:
            self._move(sample, now_s, elapsed_s)
        except UnsafeCommandError as error:
            self._keep(str(error))
            return
        self._age.add(now_s - sample.source_stamp_s)
        if executing:
            self._send(now_s)
            self._source.publish(Header(stamp=to_stamp(sample.source_stamp_s)))

    def _move(self, sample: Sample, now_s: float, elapsed_s: float) -> None:
        assert self._state is not None  # the watchdog holds until an observation came
        measured = self._state.as_action(self._kind)
        target = sample.action
        if self._horizon is not None:
            if self._command is None:
                self._horizon.clear()
            start = measured if self._command is None else self._command
            self._horizon.heed_clock(now_s, start)
            if self._news or not self._moving:
                self._news = False
                self._horizon.follow(self._timeline, now_s, start)
                self._send_whole()
            # Within the limits as it was made; on the clock of the ticks it would seem not to be.
            command, acted = np.append(self._horizon.at(now_s)[:7], target[7]), []
        else:
            command, acted = self._limits.clamp(target, self._command, measured, elapsed_s)
        if self._command is not None:
            part = slice(0, 3) if self._kind == "ee_pose" else slice(0, 7)
            step = float(np.linalg.norm(command[part] - self._command[part]))
            self._max_step = max(self._max_step, step)
        self._command, self._moving, self._reason = command, True, ""
        self._acted.update(acted)
        self._acting = acted

    def _keep(self, why: str, brake: bool = True) -> None:
        """Hold: the arm is told again what it was told last, if it was told anything.

        Args:
            why: It holds.
            brake: Stop at once; False: what was rolled out ends in rest, and may go on.
        """
        self._holds += self._moving
        now_s = self._now_s()
        if self._horizon is not None and self._command is not None:
            self._horizon.heed_clock(now_s, self._command)
            if self._moving and brake:
                self._horizon.stop(now_s, self._command)
                self._send_whole()
            self._command = np.append(self._horizon.at(now_s)[:7], self._command[7])
        self._moving, self._acting = False, []
        self._reason = "; ".join(filter(None, (why, self._refusal)))
        if self._executing and self._command is not None:
            self._send(now_s)

    def _send_whole(self) -> None:
        assert self._horizon is not None
        if self._executing and self._commands.whole and not self._horizon.stands:
            self._commands.trajectory(self._horizon.start_s, self._horizon.motions)

    def _stop_moving(self, why: str) -> None:
        """Forget the last command, so that the next one starts from where the arm is."""
        self._command: Array | None = None
        self._moving, self._reason, self._acting = False, why, []

    def _send(self, now_s: float) -> None:
        assert self._command is not None
        stamp = to_stamp(now_s)
        if not self._commands.whole:
            self._commands.stream(self._command, stamp)
        if self._kinematics is not None:
            self._commands.pose(self._kinematics.forward(self._command[:7]), stamp)
        self._commands.width(float(self._command[7]), stamp)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _report(self) -> Report:
        age = self._age.ages()
        values: dict[str, object] = {
            "execute": self._executing,
            "enabled": self._enabled,
            "holding": not self._moving,
            "hold_reason": self._reason,
            "holds": self._holds,
            "command_age_ms_p50": 1e3 * age.p50_s,
            "command_age_ms_p99": 1e3 * age.p99_s,
            "limits_acted": ", ".join(f"{name}: {n}" for name, n in sorted(self._acted.items())),
            "max_step": self._max_step,
            "plans_refused": self._refused_count,
            "plans_slowed": self._slowed,
            "last_finding": self._finding,
        }
        if not self._enabled:
            return Report(OK, "disabled", values)
        if rivals := self._commands.rivals():
            topic = self._commands.topic
            return Report(ERROR, f"{rivals} other publishers on {topic}: end them", values)
        if not self._moving:
            return Report(ERROR, f"holding: {self._reason}", values)
        what = "executing" if self._executing else "shadow: nothing is sent"
        if self._acting:
            return Report(WARN, f"{what}, limited by {', '.join(self._acting)}", values)
        return Report(OK, what, values)


def main() -> None:
    """Entry point of the executable `controller_node`."""
    run(ControllerNode)


if __name__ == "__main__":
    main()
