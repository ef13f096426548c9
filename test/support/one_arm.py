"""Which worker runs which test: those of running nodes first, alone; then all others side by side.

A graph of nodes lives in real time. Two of them, or one beside an optimiser, leave two slow cores
late, and what then fails is the machine.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

ALIVE = ("test/nodes/", "test/demo/", "test/franka/", "test/launch/")


class OneArmScheduling(LoadFileScheduling):
    """Files in `ALIVE` go to the first worker; the others get nothing until these are done."""

    def _alive(self) -> bool:
        first = self.assigned_work[self.nodes[0]].values()
        pending = [name for unit in first for name, done in unit.items() if not done]
        return any(name.startswith(ALIVE) for name in (*pending, *self.workqueue))

    def _assign_work_unit(self, node) -> None:
        alive = [file for file in self.workqueue if file.startswith(ALIVE)]
        if alive:
            self.workqueue.move_to_end(alive[0], last=False)
        if node is self.nodes[0] or not self._alive():
            super()._assign_work_unit(node)

    def mark_test_complete(self, node, item_index, duration=0) -> None:
        """Lets the others begin when the last living test is over."""
        super().mark_test_complete(node, item_index, duration)
        if not self._alive():
            for other in self.nodes[1:]:
                self._reschedule(other)
