"""A policy whose hand circles, without weights, and the observations and plans that feed it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from robots import HOME_POSE
from sensor_msgs.msg import Image, JointState

from vilp_ros.data.robot_state import RobotState
from vilp_ros.ros import qos
from vilp_ros.ros.images import to_message
from vilp_ros.ros.messages import pack_state, to_stamp

SHAPE = (9, 1, 36)
PERIOD_S = 0.05


class WavePolicy:
    """The hand circles before `home` (7,).

    A plan's numbers: its time, a step to one side (3), the gripper's width.
    """

    def __init__(self, home=HOME_POSE):
        self._home = home
        self.spec = SimpleNamespace(
            name="fake",
            views={},
            plan_shape=SHAPE,
            n_action_steps=4,
            horizon=8,
            row_period_s=PERIOD_S,
        )

    def noise(self, seed):
        return seed

    def act(self, plan, noise):
        time_s, step = float(plan[0, 0]), plan[0, 1:4].astype(float)
        actions = np.tile(np.append(self._home, plan[0, 4]), (8, 1))
        phases = (time_s + PERIOD_S * np.arange(8)) * 1.5
        reach = np.clip(time_s / 2, 0, 1)
        actions[:, 0] += reach * (0.1 + 0.06 * np.cos(phases)) + step[0]
        actions[:, 1] += reach * 0.06 * np.sin(phases) + step[1]
        actions[:, 2] -= reach * 0.1 - step[2]
        return actions


class WavePlanner:
    """Observations of an arm at 20 Hz, and a plan for each: some late, some lost.

    Args:
        probe: Publishes.
        arm: `now_s()`, `work()`, `pose` (7,) and `joints` (J,).
        names: Of the joints.
        seed: Of losses and delays.
        loss: Share of plans that never arrive.
        delay_s: Largest delay of a plan.
        observes: Whether it publishes observations; False: a node of its own does.

    `jitter_s` is the standard deviation of what pictures are stamped too early by (half a normal).
    """

    def __init__(self, probe, arm, names, seed=0, *, loss=0.1, delay_s=0.15, observes=True):
        self._probe, self._arm, self._rng = probe, arm, np.random.default_rng(seed)
        self._names = names
        self._plan = probe.node.create_publisher(Image, "planner/plan", qos.COMMANDS)
        self._state = None
        if observes:
            self._state = probe.node.create_publisher(JointState, "observation/state", qos.LATEST)
        self.loss, self._delay_s = loss, delay_s
        self.start_s = self._next_s = arm.now_s()
        self._flying = []
        self.step, self.width, self.jitter_s = np.zeros(3), 0.04, 0.0
        self.wanders = True

    def begin(self):
        """The circle begins now, with a way to it of two seconds, when everybody listens."""
        ends = [end for end in (self._plan, self._state) if end is not None]
        self._probe.spin_until(lambda: all(e.get_subscription_count() for e in ends), "discovery")
        self.start_s = self._next_s = self._arm.now_s()

    @property
    def time_s(self):
        return self._arm.now_s() - self.start_s

    def work(self):
        now_s = self._arm.now_s()
        self._arm.work()
        if now_s < self._next_s - 1:
            self.start_s -= self._next_s - now_s  # the clock was set back
            self._next_s = now_s
            self._flying.clear()
        if now_s >= self._next_s:
            self._next_s += PERIOD_S
            seen_s = now_s - abs(self._rng.normal(0, self.jitter_s))
            if self._state is not None:
                state = RobotState(self._arm.pose, 0.04, self._arm.joints)
                self._state.publish(pack_state(state, self._names, to_stamp(seen_s)))
            if self.wanders and self._rng.uniform() < 0.1:
                self.step = self._rng.uniform(-1, 1, 3) * 0.03 / np.sqrt(3)
            if self._rng.uniform() >= self.loss:
                grid = np.zeros(SHAPE, np.float32)
                grid[0, 0, :5] = [now_s - self.start_s, *self.step, self.width]
                message = to_message(grid, "32FC36", to_stamp(seen_s), "fake")
                self._flying.append((now_s + self._rng.uniform(0, self._delay_s), message))
        for due_s, message in [f for f in self._flying if f[0] <= now_s]:
            self._plan.publish(message)
            self._flying.remove((due_s, message))

    def until(self, condition, what, timeout_s=60.0):
        self._probe.spin_until(lambda: self.work() or condition(), what, timeout_s)
