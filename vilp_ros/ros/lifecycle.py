"""Base of the managed nodes: what a transition does here, what it means in the derived class."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vilp_ros.errors import VilpError
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from vilp_ros.ros.parameters import Parameter, declare
from vilp_ros.ros.peer_clock import PeerClock


class ManagedNode(LifecycleNode):
    """A lifecycle node that can bring itself up.

    A derived class says what it needs in four words: `_setup` (load, allocate; may raise), `_start`
    (begin to act), `_hold` (stop acting, keep what was loaded), `_teardown` (free; also after a
    `_setup` that failed half way, so it must not assume anything). `_report` is its account of
    itself while active. With `autostart` the node configures and activates itself, and a failure
    ends the process with code 2, so that whoever started it learns of it.

    Args:
        name: Node name.
        table: Parameters; must contain `autostart`.
        peer: Node that may run on another host, whose clock is compared with this one's.
        options: Of `rclpy.node.Node`.
    """

    def __init__(
        self, name: str, table: Sequence[Parameter], peer: str = "", **options: Any
    ) -> None:
        super().__init__(name, **options)
        self.exit_code: int | None = None
        self.loading = False
        self._phase = "unconfigured"
        self._failure = ""
        self._settings: SimpleNamespace = declare(self, table)
        simulated = self.get_parameter("use_sim_time").value  # one clock for all of them
        self._peer = PeerClock(self, peer) if peer and not simulated else None
        self._diagnostics = Diagnostics(self, self._report_state)
        if self._settings.autostart:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    def _setup(self) -> None:
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError

    def _hold(self) -> None:
        raise NotImplementedError

    def _teardown(self) -> None:
        raise NotImplementedError

    def _report(self) -> Report:
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `_setup`; what it raises is reported and the node stays unconfigured."""
        return self._attempt("configure", self._setup, self._teardown, "inactive", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `_start`; what it raises is reported and the node stays inactive."""
        return self._attempt("activate", self._start, self._hold, "active", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """`_hold`, then silence the publishers."""
        self._hold()
        self._phase = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """`_teardown`."""
        self._teardown()
        self._phase = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold and free everything; the node will not come back."""
        self.close()
        self._phase = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where it can be configured again."""
        self.close()
        self._phase = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop acting and free everything; safe in any state."""
        if self._phase == "active":
            self._hold()
        self._teardown()

    def _attempt(
        self,
        what: str,
        action: Callable[[], None],
        undo: Callable[[], None],
        phase: str,
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        self.get_logger().info(f"{what} ...")
        # rclpy drops what a transition raises without a word.
        try:
            self.loading = phase == "inactive"
            action()
        except (KeyboardInterrupt, Exception) as error:
            # A signal while loading, or an import that it broke off, is no fault.
            stopped = phase == "inactive" and not self.loading
            if stopped or isinstance(error, KeyboardInterrupt):
                self.exit_code = 0
                return TransitionCallbackReturn.FAILURE
            text = str(error) if isinstance(error, VilpError) else traceback.format_exc()
            self._failure = f"{what} failed: {text}"
            self.get_logger().error(self._failure)
            undo()
            return TransitionCallbackReturn.FAILURE
        finally:
            self.loading = False
        self._failure, self._phase = "", phase
        enable = super().on_configure if phase == "inactive" else super().on_activate
        return enable(state)

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        steps = (self.trigger_configure, self.trigger_activate)
        if not all(step() == TransitionCallbackReturn.SUCCESS for step in steps):
            self.exit_code = 2 if self.exit_code is None else self.exit_code

    def _report_state(self) -> Report:
        if self._failure:
            return Report(ERROR, self._failure)
        if self._phase != "active":
            return Report(OK, self._phase)
        report = self._report()
        if self._peer is not None:
            report.values |= self._peer.values()
            if report.level == OK and (apart := self._peer.complaint()):
                return Report(WARN, apart, report.values)
        return report
