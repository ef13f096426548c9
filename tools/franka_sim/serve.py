"""Serves franka-sim, whose fingers can jam and hold; run by serve.sh, in its environment."""

import logging
import os
import signal
import sys

from franka_sim import FrankaHandSim, FrankaSimServer


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


logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
width = os.environ.get("FRANKA_SIM_OBJECT")
hand = Hand(object_width=float(width) if width else None)
signal.signal(signal.SIGUSR1, hand.jam)
server = FrankaSimServer(
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
