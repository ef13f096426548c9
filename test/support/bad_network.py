"""What a policy sends at 20 Hz over a bad network: chunks, delayed, lost, reordered, with steps,
and with stamps that jitter as those of a USB camera on a loaded host do."""

from __future__ import annotations

import contextlib
import heapq
import time

import numpy as np
from robots import FR3, HOME_JOINTS
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vilp_ros.kinematics import KinematicsError
from vilp_ros.kinematics.franka import FrankaKinematics
from vilp_ros.ros.messages import to_stamp

PERIOD_S, CHUNK = 0.05, 8


def wandering_hand(seed: int, count: int, step_m: float = 0.03) -> np.ndarray:
    """(count, 7) joints of a hand that wanders in a box and jumps by up to `step_m` at times."""
    rng = np.random.default_rng(seed)
    arm = FrankaKinematics("fr3", FR3.limits.joint_position)
    start, joints = arm.forward(HOME_JOINTS), HOME_JOINTS
    centre, offset, path = start[:3] + [0.1, 0, -0.1], np.array([-0.1, 0, 0.1]), []
    for k in range(count):
        offset = 0.98 * offset + rng.normal(0, 0.004, 3)
        if k > 40 and rng.uniform() < 0.1:
            offset = offset + rng.uniform(-1, 1, 3) * step_m / np.sqrt(3)
        offset = np.clip(offset, -0.12, 0.12)
        with contextlib.suppress(KinematicsError):  # out of reach: it waits until the way is back
            joints = arm.inverse(np.concatenate([centre + offset, start[3:]]), joints)
        path.append(joints)
    return np.array(path)


class BadNetwork:
    """Sends chunks of a path, each when its delay is over.

    Args:
        publisher: of JointTrajectory.
        path: (T, 7) joints, 50 ms apart.
        seed: of delays, losses and jitter.
        delay_s: largest delay of a message; of half of them, where the tail is heavy.
        loss: share of messages that never arrive, or, in bursts, that begin one.
        chunk: points a message.
        jitter_s: standard deviation of the stamps; the points are the same.
        burst: how many messages are lost in a row.
        tail_s: none is later than that. Above `delay_s`: delays are Pareto's, not uniform.
    """

    def __init__(
        self,
        publisher,
        path,
        seed=0,
        *,
        delay_s=0.2,
        loss=0.1,
        chunk=CHUNK,
        jitter_s=0.0,
        burst=1,
        tail_s=0.0,
    ):
        self._publisher, self._path, self._rng = publisher, path, np.random.default_rng(seed)
        self._delay_s, self._loss, self._chunk = delay_s, loss, chunk
        self._jitter_s, self._burst, self._tail_s, self._losing = jitter_s, burst, tail_s, 0
        self._start_s, self._next = time.time(), 0
        self._flying: list[tuple[float, int, JointTrajectory]] = []
        self.sent = 0

    def done(self) -> bool:
        return self._next >= len(self._path) - self._chunk

    def work(self) -> None:
        """Send what is due now."""
        now_s = time.time()
        while not self.done() and now_s >= (stamp_s := self._start_s + self._next * PERIOD_S):
            if not self._losing and self._rng.uniform() < self._loss:
                self._losing = self._burst
            if self._losing:
                self._losing -= 1
            else:
                due_s = stamp_s + self._delay()
                seen_s = stamp_s + self._rng.normal(0, self._jitter_s)
                heapq.heappush(self._flying, (due_s, self._next, self._message(seen_s)))
            self._next += 1
        while self._flying and self._flying[0][0] <= now_s:
            self._publisher.publish(heapq.heappop(self._flying)[2])
            self.sent += 1

    def _delay(self) -> float:
        if self._tail_s <= self._delay_s:
            return self._rng.uniform(0, self._delay_s)
        return min(self._delay_s / 2 * (1 + self._rng.pareto(1.0)), self._tail_s)

    def _message(self, stamp_s: float) -> JointTrajectory:
        message = JointTrajectory(joint_names=list(FR3.proprio.joint_names))
        message.header.stamp = to_stamp(stamp_s)
        for k in range(self._chunk):
            point = JointTrajectoryPoint(positions=self._path[self._next + k].tolist())
            point.time_from_start.sec, nano = divmod(round(k * PERIOD_S * 1e9), 10**9)
            point.time_from_start.nanosec = nano
            message.points.append(point)
        return message
