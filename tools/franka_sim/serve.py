"""Serves franka-sim, whose fingers can jam and hold; run by serve.sh, in its environment."""

import logging
import os
import signal
import sys

from franka_sim import FrankaHandSim, FrankaSimServer

PATIENCE_S = 1.0


class Hand(FrankaHandSim):
    """Stands where it is when it is stopped, and wherever it is while it is jammed."""

    jammed = False

    def jam(self, *_):
        """Jams the fingers, or frees them."""
        self.jammed = not self.jammed

    def stop(self):
        """Leaves them where they are; the original opens them."""
        return True

    def _blocked(self, width):
        return self.width if self.jammed else super()._blocked(width)


class Server(FrankaSimServer):
    """An arm whose operator has set a tool in Desk, where there is one; on request a patient one.

    More than six late commands in a row trip an arm, and a machine that stands still for 7 ms does
    that to any client. A patient arm's time waits for the answer.
    """

    tool_m = os.environ.get("FRANKA_SIM_TOOL")
    patience_s = PATIENCE_S if "FRANKA_SIM_PATIENT" in os.environ else 0.0
    _DRAIN_GATE_TIMEOUT = FrankaSimServer._DRAIN_GATE_TIMEOUT + patience_s

    def _drain_gate(self, answer_deadline=0.0):
        return super()._drain_gate(answer_deadline + self.patience_s)

    def _refresh_ee_transform(self):
        if self.tool_m:
            half, length = 0.5**0.5, float(self.tool_m)
            turned = [half, -half, 0, 0, half, half, 0, 0]
            self.robot_state.state["F_T_NE"] = [*turned, 0, 0, 1, 0, 0, 0, length, 1]
        super()._refresh_ee_transform()


logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
width = os.environ.get("FRANKA_SIM_OBJECT")
hand = Hand(object_width=float(width) if width else None)
signal.signal(signal.SIGUSR1, hand.jam)
server = Server(
    host=sys.argv[1],
    enable_vis=False,
    gripper_backend=hand,
    enforce_comm_constraints="FRANKA_SIM_PATIENT" not in os.environ,
    enforce_motion_limits=True,
)
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    server.start()
except KeyboardInterrupt:
    pass
finally:
    server.stop()
