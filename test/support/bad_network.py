"""What a policy sends at 20 Hz over a bad network: chunks, delayed, lost, reordered, with steps."""

from __future__ import annotations

import heapq
import time

import numpy as np
from robots import FR3, HOME_JOINTS
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vilp_ros.control.kinematics import Kinematics
from vilp_ros.nodes.messages import to_stamp

PERIOD_S, CHUNK = 0.05, 8


def wandering_hand(seed: int, count: int, step_m: float = 0.03) -> np.ndarray:
    """(count, 7) joints of a hand that wanders in a box and jumps by up to `step_m` at times."""
    rng = np.random.default_rng(seed)
    arm = Kinematics("fr3", FR3.limits.joint_position)
    start, joints = arm.forward(HOME_JOINTS), HOME_JOINTS
    centre, offset, path = start[:3] + [0.1, 0, -0.1], np.array([-0.1, 0, 0.1]), []
    for k in range(count):
        offset = 0.98 * offset + rng.normal(0, 0.004, 3)
        if k > 40 and rng.uniform() < 0.1:
            offset = offset + rng.uniform(-1, 1, 3) * step_m / np.sqrt(3)
        offset = np.clip(offset, -0.12, 0.12)
        joints = arm.inverse(np.concatenate([centre + offset, start[3:]]), joints)
        path.append(joints)
    return np.array(path)


class BadNetwork:
    """Sends chunks of a path, each when its delay is over.

    Args:
        publisher: of JointTrajectory.
        path: (T, 7) joints, 50 ms apart.
        seed: of delays and losses.
        delay_s: largest delay of a message.
        loss: share of messages that never arrive.
        chunk: points a message.
    """

    def __init__(self, publisher, path, seed=0, *, delay_s=0.2, loss=0.1, chunk=CHUNK):
        self._publisher, self._path, self._rng = publisher, path, np.random.default_rng(seed)
        self._delay_s, self._loss, self._chunk = delay_s, loss, chunk
        self._start_s, self._next = time.time(), 0
        self._flying: list[tuple[float, int, JointTrajectory]] = []
        self.sent = 0

    def done(self) -> bool:
        return self._next >= len(self._path) - self._chunk

    def work(self) -> None:
        """Send what is due now."""
        now_s = time.time()
        while not self.done() and now_s >= (stamp_s := self._start_s + self._next * PERIOD_S):
            if self._rng.uniform() >= self._loss:
                due_s = stamp_s + self._rng.uniform(0, self._delay_s)
                heapq.heappush(self._flying, (due_s, self._next, self._message(stamp_s)))
            self._next += 1
        while self._flying and self._flying[0][0] <= now_s:
            self._publisher.publish(heapq.heappop(self._flying)[2])
            self.sent += 1

    def _message(self, stamp_s: float) -> JointTrajectory:
        message = JointTrajectory(joint_names=list(FR3.proprio.joint_names))
        message.header.stamp = to_stamp(stamp_s)
        for k in range(self._chunk):
            point = JointTrajectoryPoint(positions=self._path[self._next + k].tolist())
            point.time_from_start.sec, nano = divmod(round(k * PERIOD_S * 1e9), 10**9)
            point.time_from_start.nanosec = nano
            message.points.append(point)
        return message
