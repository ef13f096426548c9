"""Run again what a bag recorded: one inference to the bit, a policy beside it, its commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vilp_ros.canvas import on_canvas
from vilp_ros.control.limits import SafetyLimits
from vilp_ros.data.bag import Bag, BagError
from vilp_ros.data.bag_reader import BagReader
from vilp_ros.data.frames import Frame
from vilp_ros.data.observe import Observation, joints_by_name, seconds
from vilp_ros.data.recording import bundle_hash
from vilp_ros.data.robot_state import Past, RobotState
from vilp_ros.data.synchroniser import SAME_S
from vilp_ros.evaluation.shadow import Agreement, Shadow
from vilp_ros.policy.policy import Policy, Previous

PLAN, STATE, DIAGNOSTICS = "planner/plan", "observation/state", "diagnostics"
_START_PERIODS = 25


class Inference(NamedTuple):
    """A plan as it was recorded, and the one before it."""

    stamp_s: float
    name: str
    plan: np.ndarray
    before: Previous | None


@dataclass(frozen=True)
class Step:
    """One inference, run again.

    Attributes:
        stamp_s: of its observation.
        at_s: seconds from the beginning of the bag.
        bundle_same: whether the bundle is the one whose hash the bag notes; None if it notes none.
        state_same: whether the state that the planner was given is the one made again from the raw
            messages; None if it was not recorded.
        noise_seed: seed of the sampling noise with which it was run.
        plan_same: to the bit.
        plan_difference: largest absolute difference of a standardised number.
        actions: `(T, 8)` of the plan made again.
    """

    stamp_s: float
    at_s: float
    bundle_same: bool | None
    state_same: bool | None
    noise_seed: int
    plan_same: bool
    plan_difference: float
    actions: list[list[float]]

    def __str__(self) -> str:
        """A sentence for each thing that was compared."""
        words = {True: "the same", False: "NOT the same", None: "not recorded"}
        plan = "the same to the bit"
        if not self.plan_same:
            plan = f"NOT the same, it differs by up to {self.plan_difference:.3g}"
        return (
            f"inference at {self.at_s:.3f} s (observation {self.stamp_s:.6f}), noise seed "
            f"{self.noise_seed}\nbundle: {words[self.bundle_same]}\nstate of the arm: "
            f"{words[self.state_same]}\nplan: {plan}"
        )


def replay_step(path: Path, bundle: Path, policy: Policy, at_s: float) -> Step:
    """Runs the inference nearest to a time again.

    Args:
        path: the bag.
        bundle: folder that `policy` was loaded from.
        policy: on the engine of the recording, if it is to match to the bit.
        at_s: seconds from the beginning of the bag.

    Raises:
        BagError: no plan was recorded, or what it was made from is not in the bag.
    """
    with Bag(path) as bag:
        wanted = _inference(bag, policy, at_s)
        observation, before = _inputs(bag, policy, wanted)
        images = on_canvas([observation.images[view] for view in policy.spec.views])
        previous = before.proprio if before else None
        state = policy.encode(images, observation.state.proprio, previous)
        tries = [
            (seed, policy.imagine(state, policy.noise(seed), wanted.before)[0])
            for seed in _seeds(bag, at_s)
        ]
        differences = [float(np.abs(plan - wanted.plan).max()) for _, plan in tries]
        best = int(np.argmin(differences))
        seed, plan = tries[best]
        noted = bag.labels.get("bundle_sha256")
        return Step(
            stamp_s=wanted.stamp_s,
            at_s=wanted.stamp_s - bag.start_ns * 1e-9,
            bundle_same=noted == bundle_hash(bundle) if noted else None,
            state_same=_state_same(bag, policy, observation),
            noise_seed=seed,
            plan_same=bool(np.array_equal(plan.astype(np.float32), wanted.plan)),
            plan_difference=differences[best],
            actions=policy.act(plan, policy.noise(seed)).tolist(),
        )


def shadow(path: Path, policy: Policy) -> Agreement:
    """Runs a policy over a whole demonstration, commanding nothing.

    Raises:
        BagError: the arm was told nothing in this bag.
    """
    with Bag(path) as bag:
        frames, reader = _frames(bag)
        if not reader.has_commands:
            raise BagError(f"{path} has no commands to compare with: it is action-free")
        follower = Shadow(policy)
        for frame in frames:
            follower.see(frame)
        if (agreement := follower.agreement(reader.commands)) is None:
            raise BagError(f"{path}: no observation came after the first command")
        return agreement


def execute(path: Path, task: str | None = None) -> tuple[bool, float]:
    """Gives a bag's commands to the simulator, through the limits of its contract.

    Args:
        path: the bag; its label `seed` places the objects.
        task: instead of the one noted.

    Returns:
        Whether the task was done, and the largest distance (m) of the hand from the recorded one.

    Raises:
        BagError: no commands, or no seed.
    """
    from vilp_ros.sim.env import SimEnv

    with Bag(path) as bag:
        frames, reader = _frames(bag)
        task = task or bag.labels.get("task")
        if not reader.has_commands:
            raise BagError(f"{path} has no commands to execute: it is action-free")
        if bag.seed < 0 or not task:
            raise BagError(f"{path} does not say which scene it was: it has no seed or no task")
        states = [(frame.stamp_s, frame.state) for frame in frames]
        contract, kind = reader.contract, reader.contract.action.kind
        limits = SafetyLimits(contract.limits, kind)
        with SimEnv(task, views=(), action_kind=kind) as env:
            env.reset(bag.seed)
            for _ in range(_START_PERIODS):  # the episode need not begin at rest
                env.apply(states[0][1].as_action(kind))
            command, far_m, done = None, 0.0, False
            for stamp_s, state in states:
                if not reader.commands.before(stamp_s):
                    continue
                seen = env.observe()
                far_m = max(far_m, float(np.linalg.norm(seen.ee_pose[:3] - state.ee_pose[:3])))
                measured = RobotState(seen.ee_pose, seen.gripper_width, seen.joint_position)
                target = reader.commands.action(stamp_s, state.gripper_width)
                command, _ = limits.clamp(
                    target, command, measured.as_action(kind), contract.control_period_s
                )
                env.apply(command)
                done = done or env.success()
    return done, far_m


def _frames(bag: Bag) -> tuple[Iterator[Frame], BagReader]:
    reader = BagReader(bag)
    return reader.frames(), reader


def _inference(bag: Bag, policy: Policy, at_s: float) -> Inference:
    """The plan received nearest to a time."""
    topic = bag.topic(PLAN)
    if not bag.counts.get(topic):
        raise BagError(f"{bag.path} has no plans ({topic}): no policy ran while it was recorded")
    at_ns = bag.start_ns + round(at_s * 1e9)
    best: tuple[int, Any, Any] | None = None
    last = None
    for _, received_ns, message in bag.messages([topic]):
        if best is None or abs(received_ns - at_ns) < abs(best[0] - at_ns):
            best = (received_ns, message, last)
        last = message
    assert best is not None
    _, message, last = best
    stamp_s, name = seconds(message.header.stamp), message.header.frame_id
    if name != policy.spec.name:
        raise BagError(f"{bag.path} was recorded with bundle '{name}', not '{policy.spec.name}'")
    before = None
    if last is not None and (elapsed_s := stamp_s - seconds(last.header.stamp)) >= 0:
        before = Previous(_plan(last), elapsed_s)
    return Inference(stamp_s, name, _plan(message), before)


def _plan(message: Any) -> np.ndarray:
    return np.frombuffer(bytes(message.data), np.float32).reshape(message.height, -1)


def _inputs(bag: Bag, policy: Policy, wanted: Inference) -> tuple[Observation, RobotState | None]:
    """The observation of a plan and the state one control period before it, as the planner does."""
    reader, past = BagReader(bag), Past(policy.spec.control_period_s)
    for observation in reader.observations():
        past.add(observation.stamp_s, observation.state)
        if abs(observation.stamp_s - wanted.stamp_s) < SAME_S:
            return observation, past.before(observation.stamp_s)
    raise BagError(
        f"{bag.path} lacks an image or a state of the observation at {wanted.stamp_s:.6f}: this "
        "inference cannot be run again, choose another --at"
    )


def _seeds(bag: Bag, at_s: float) -> list[int]:
    """Noise seeds that the planner told around a time; a new episode draws a new one."""
    told: dict[int, None] = {}
    topic = bag.topic(DIAGNOSTICS)
    at_ns, near_ns = bag.start_ns + round(at_s * 1e9), 3_000_000_000
    if topic in bag.kinds:
        for _, _, message in bag.messages([topic], at_ns - near_ns, at_ns + near_ns):
            for status in message.status:
                values = {v.key: v.value for v in status.values}
                if status.name.rsplit("/", 1)[-1] == "planner" and "noise_seed" in values:
                    told[int(values["noise_seed"])] = None
    return list(told) or [0]


def _state_same(bag: Bag, policy: Policy, observation: Observation) -> bool | None:
    contract = bag.contract()
    topic = bag.topic(STATE)
    if contract is None or topic not in bag.kinds:
        return None
    joints = contract.proprio.joint_names
    names = [f"ee.{axis}" for axis in ("x", "y", "z", "qx", "qy", "qz", "qw")]
    state = observation.state
    made = np.concatenate([state.ee_pose, [state.gripper_width], state.joint_position])
    for _, _, message in bag.messages([topic]):
        if abs(seconds(message.header.stamp) - observation.stamp_s) < SAME_S:
            told = joints_by_name(message, message.position, [*names, "gripper.width", *joints])
            return bool(np.array_equal(told, made))
    return None
