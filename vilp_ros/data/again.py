"""A bag that is judged again, by what the audit knows today; also one that nobody has judged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vilp_ros.contract import Contract
from vilp_ros.data.audit import Audit, still_true
from vilp_ros.data.bag import Bag, header_stamp_ns
from vilp_ros.data.observe import STATES, Observer
from vilp_ros.data.recording import HEADED
from vilp_ros.data.rest import still, words
from vilp_ros.errors import VilpError


class Again:
    """Audits a bag's messages as the recorder would, and says how long the arm rests.

    Without a contract it only repeats what the recorder said.

    Args:
        bag: open.
    """

    def __init__(self, bag: Bag) -> None:
        self._bag, contract = bag, bag.contract()
        self._audit = Audit(contract) if contract else None
        self._rest = _RestWatch(contract) if contract else None
        judged = [*self._audit.channels, *self._audit.commanded] if self._audit else []
        self._names = {bag.topic(name): name for name in judged}

    def add(self, topic: str, received_ns: int, data: bytes, message: Any) -> None:
        """Takes one message, serialized and decoded."""
        if self._audit and self._rest and (name := self._names.get(topic)):
            headed = self._bag.kinds[topic] in HEADED
            self._audit.add(name, received_ns, header_stamp_ns(data) if headed else 0, data)
            self._rest.add(name, message)

    def words(self) -> list[str]:
        """What is wrong or worth a word, the recorder's own findings first."""
        said = self._bag.audit
        recorded = [*still_true(said.get("findings", [])), *map(str, said.get("remarks", []))]
        found = [str(finding) for finding in self._audit.findings()] if self._audit else []
        found += filter(None, [self._rest.words() if self._rest else ""])
        return recorded + [text for text in found if text not in recorded]


class _RestWatch:
    """Reads the arm's state once a control period, of the messages alone."""

    def __init__(self, contract: Contract) -> None:
        self._observer, self._period_s = Observer(contract), contract.control_period_s
        self._samples: dict[str, list[tuple[float, NDArray]]] = {name: [] for name in STATES}

    def add(self, topic: str, message: Any) -> None:
        channel = self._observer.topics.get(topic)
        if channel not in STATES:
            return  # a view or a command
        try:
            stamp_s, parts = self._observer.read(channel, message)
        except VilpError:
            return
        for name, value in parts.items():
            samples = self._samples[name]
            if not samples or stamp_s >= samples[-1][0] + self._period_s:
                samples.append((stamp_s, value))

    def words(self) -> str:
        if min(map(len, self._samples.values())) < 2:
            return ""
        first = max(samples[0][0] for samples in self._samples.values())
        last = min(samples[-1][0] for samples in self._samples.values())
        grid = np.arange(first, last, self._period_s)
        if len(grid) < 2:
            return ""
        at = {}
        for name, samples in self._samples.items():
            stamps, values = zip(*samples)
            columns = np.stack(values).T
            at[name] = np.stack([np.interp(grid, stamps, column) for column in columns], axis=1)
        moves = at["ee_pose"][:, :3], at["gripper"][:, 0], at["joints"]
        return words(still(*moves, self._period_s), self._period_s)
