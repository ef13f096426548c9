"""Which worker runs which test: those of running nodes one after another, the rest beside them.

A graph of nodes lives in real time. Two of them, or one beside an optimiser, leave two slow cores
late, and what then fails is the machine. So the first worker has all graphs, and the others yield.
"""

from __future__ import annotations

import os

from xdist.scheduler import LoadFileScheduling

ALIVE = ("test/nodes/", "test/demo/", "test/franka/", "test/launch/")
NICE = 15


class OneArmScheduling(LoadFileScheduling):
    """The first worker takes the files in `ALIVE`, then any; the others take none of these."""

    def _assign_work_unit(self, node) -> None:
        alive = [file for file in self.workqueue if file.startswith(ALIVE)]
        others = [file for file in self.workqueue if not file.startswith(ALIVE)]
        wanted = (alive or others) if node is self.nodes[0] else others
        if not wanted:
            node.shutdown()  # after what it was given
            return
        self.workqueue.move_to_end(wanted[0], last=False)
        super()._assign_work_unit(node)


def yield_to_nodes() -> None:
    """Lower the priority of a worker other than the first, and of all that it starts."""
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        os.nice(NICE)
