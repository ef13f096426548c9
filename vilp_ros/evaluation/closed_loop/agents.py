"""What can drive the arm in a rollout: a policy bundle, a script, an oracle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vilp_ros.canvas import on_canvas
from vilp_ros.data.episode import Episode
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.errors import VilpError
from vilp_ros.geometry import ee_proprio
from vilp_ros.sim.env import CONTROL_PERIOD_S, MAX_WIDTH, Observation, SimEnv
from vilp_ros.sim.experts import make_expert

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy, Previous
    from vilp_ros.policy.spec import BundleSpec

NOISE_STRIDE = 10_000_000  # more than there are seeds of episodes
APPROACH_STEPS = 25  # control periods that an oracle spends on the way to where a recording begins
APPROACH_TOLERANCE = 0.005  # m


@dataclass(frozen=True)
class PolicyRecipe:
    """A policy bundle.

    Attributes:
        bundle: its folder.
        device: as in `load_policy`.
        engine: `torch` or `openvino`; None takes the bundle's own choice.
        steps: DDIM steps; None takes the bundle's.
        noise_seed: with the episode's seed it seeds the sampling noise; a second value tells how
            much of a score is the noise.
    """

    bundle: str
    device: str = "auto"
    engine: str | None = None
    steps: int | None = None
    noise_seed: int = 0

    @cached_property
    def views(self) -> dict[str, tuple[int, int]]:
        """Views of the bundle."""
        from vilp_ros.policy.bundle import load_spec

        return load_spec(self.bundle).views

    @cached_property
    def depth_range_m(self) -> dict[str, tuple[float, float]]:
        """(near, far) of the bundle's depth views."""
        from vilp_ros.policy.bundle import load_spec

        return load_spec(self.bundle).depth_range_m

    def build(self, env: SimEnv) -> PolicyAgent:
        """Loads the bundle."""
        return PolicyAgent(self.load(), self.noise_seed)

    def load(self) -> Policy:
        """Loads the bundle for one thread: the episodes are the parallelism."""
        import torch

        from vilp_ros.policy.bundle import load_policy

        torch.set_num_threads(1)
        return load_policy(self.bundle, device=self.device, engine=self.engine, steps=self.steps)


class PolicyAgent:
    """Encodes, plans, acts the first `n_action_steps`; keeps its sampling noise for an episode.

    Raises:
        VilpError: the bundle's actions are not those that the simulator takes.
    """

    def __init__(self, policy: Policy, noise_seed: int = 0) -> None:
        for key, here in (("action_kind", "ee_pose"), ("control_period_s", CONTROL_PERIOD_S)):
            if (found := getattr(policy.spec, key)) != here:
                raise VilpError(
                    f"bundle {policy.spec.name} has {key} {found!r}, the simulator takes {here!r}: "
                    "it can be judged on recordings (`vilp eval video --data`), not in rollouts"
                )
        self._policy, self._noise_seed = policy, noise_seed

    def reset(self, seed: int) -> None:
        """New sampling noise."""
        self._noise = self._policy.noise(seed + NOISE_STRIDE * self._noise_seed)
        self._before: Previous | None = None

    def act_chunk(self, obs: Observation, previous: Observation | None) -> np.ndarray:
        """The first actions of a new plan."""
        return self._act(self._plan(obs, previous))

    def _plan(self, obs: Observation, previous: Observation | None) -> np.ndarray:
        from vilp_ros.policy.policy import Previous

        policy = self._policy
        plan = policy.plan(encode(policy, obs, previous), self._noise, self._before)
        elapsed_s = policy.spec.n_action_steps * policy.spec.control_period_s
        self._before = Previous(plan, elapsed_s)
        return plan

    def _act(self, plan: np.ndarray) -> np.ndarray:
        return self._policy.act(plan, self._noise)[: self._policy.spec.n_action_steps]


def encode(policy: Policy, obs: Observation, previous: Observation | None) -> np.ndarray:
    """State of an observation."""
    images = np.array([obs.images[view] for view in policy.spec.views], np.uint8)
    return policy.encode(images, _proprio(obs), None if previous is None else _proprio(previous))


def _proprio(obs: Observation) -> np.ndarray:
    return ee_proprio(obs.ee_pose, np.asarray(obs.gripper_width))


@dataclass(frozen=True)
class ScriptRecipe:
    """The scripted expert.

    Attributes:
        blind: hide the objects from it; it then works at their mean pose. What it scores is what
            a task gives away to whoever knows the motion but does not look.
    """

    blind: bool = False

    @property
    def views(self) -> dict[str, tuple[int, int]]:
        """None: it is told where things are."""
        return {}

    def build(self, env: SimEnv) -> ScriptAgent:
        """Makes the script for `env`."""
        return ScriptAgent(env, _Blindfold(env, mean_poses(env)) if self.blind else env)


class ScriptAgent:
    """Follows the expert's script, one action a time."""

    def __init__(self, env: SimEnv, seen: Any) -> None:
        self._env, self._seen = env, seen

    def reset(self, seed: int) -> None:
        """Starts the script anew; `seed` draws what it leaves open."""
        self._expert = make_expert(self._seen, np.random.default_rng(seed))

    def act_chunk(self, obs: Observation, previous: Observation | None) -> np.ndarray:
        """The script's next action."""
        return self._expert.act(obs)[None]


class _Blindfold:
    """An environment whose objects always seem to be where they are on average."""

    def __init__(self, env: SimEnv, poses: dict[str, np.ndarray]) -> None:
        self._env, self._poses = env, poses

    def truth(self) -> dict[str, np.ndarray]:
        return {name: pose.copy() for name, pose in self._poses.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


def mean_poses(env: SimEnv, n: int = 64) -> dict[str, np.ndarray]:
    """Mean pose `(7,)` of every object over `n` training seeds; turns by their chordal mean."""
    poses: dict[str, list[np.ndarray]] = {}
    for seed in range(n):
        env.reset(seed)
        for name, pose in env.truth().items():
            poses.setdefault(name, []).append(pose)
    means = {}
    for name, found in poses.items():
        stacked = np.stack(found)
        quats = stacked[:, 3:]
        turn = np.linalg.eigh(quats.T @ quats)[1][:, -1]  # q and -q are the same turn
        means[name] = np.concatenate([stacked[:, :3].mean(axis=0), turn])
    return means


@dataclass(frozen=True)
class OracleRecipe:
    """The inverse dynamics of a bundle, fed with the recorded future instead of a plan.

    Attributes:
        policy: the bundle.
        data: file of recorded episodes; an episode of a rollout must have the seed of one of them.
    """

    policy: PolicyRecipe
    data: str

    @property
    def views(self) -> dict[str, tuple[int, int]]:
        """None: it looks at the recording, not at the simulator."""
        return {}

    def build(self, env: SimEnv) -> OracleAgent:
        """Loads bundle and recordings."""
        return OracleAgent(self.policy.load(), EpisodeFile(self.data))


class OracleAgent:
    """At step t the plan is what was recorded from t on; after its end the last state stays.

    Success says that latents and inverse dynamics are good enough for a perfect planner. A
    recording may begin with the arm off its rest pose; the arm is sent there first.
    """

    def __init__(self, policy: Policy, episodes: EpisodeFile) -> None:
        policy.spec.require_states()
        self._policy, self._episodes = policy, episodes
        self._index = {seed: i for i, seed in enumerate(recorded_seeds(episodes))}

    def reset(self, seed: int) -> None:
        """Encodes the recording of `seed`.

        Raises:
            VilpError: there is none.
        """
        if seed not in self._index:
            raise VilpError(f"no episode of seed {seed} in {self._episodes.path}")
        episode = self._episodes[self._index[seed]]
        self._noise = self._policy.noise(seed)
        self._states = encode_episode(self._policy, episode)
        self._start = np.concatenate([episode.ee_pose[0], [MAX_WIDTH]])
        self._step, self._approach = 0, APPROACH_STEPS

    def act_chunk(self, obs: Observation, previous: Observation | None) -> np.ndarray:
        """Actions between the recorded states that follow."""
        off = np.linalg.norm(obs.ee_pose[:3] - self._start[:3])
        if self._step == 0 and self._approach > 0 and off > APPROACH_TOLERANCE:
            self._approach -= 1
            return self._start[None]
        spec = self._policy.spec
        plan = recorded_plan(spec, self._states, self._step)
        self._step += spec.n_action_steps
        return self._policy.act(plan, self._noise)[: spec.n_action_steps]


def recorded_seeds(episodes: EpisodeFile) -> list[int]:
    """Seed of every episode in a file, in its order."""
    return [episodes.read(i, views=()).seed for i in range(len(episodes))]


def recorded_plan(spec: BundleSpec, states: np.ndarray, step: int) -> np.ndarray:
    """The plan `(T + 1, C)` that a planner which knows the recording would make at `step`.

    What the planner does not forecast stays in all rows as it is at the observation.

    Args:
        spec: of the bundle.
        states: `(N, S)` of all observations of the episode; a row is the beginning of a state.
        step: control period of the observation; rows beyond the end repeat the last state.
    """
    ahead = spec.policy.frame_interval * np.arange(spec.horizon + 1)
    plan = states[np.minimum(step + ahead, len(states) - 1), : spec.layout.row_dim]
    if not spec.layout.forecasts_proprio:
        plan[:, spec.layout.forecast_dim :] = plan[0, spec.layout.forecast_dim :]
    return plan


def decode_states(policy: Policy, states: np.ndarray) -> np.ndarray:
    """Frames `(N, V, H, W, 3)` of any number of states; compiled decoders take whole plans only."""
    rows, _, channels = policy.spec.plan_shape
    padded = np.concatenate([states, np.repeat(states[-1:], -len(states) % rows, axis=0)])
    padded = padded[:, :channels]
    frames = [policy.decode(padded[i : i + rows]) for i in range(0, len(padded), rows)]
    return np.concatenate(frames)[: len(states)]


def encode_episode(policy: Policy, episode: Episode) -> np.ndarray:
    """States `(T + 1, S)` of all observations of an episode; each begins with its row.

    Raises:
        VilpError: the episode lacks a view, or the method's states are no rows of numbers.
    """
    states = [encode_moment(policy, episode, t) for t in range(len(episode) + 1)]
    if not isinstance(states[0], np.ndarray):
        raise VilpError(
            f"states of method {policy.spec.method!r} are no latents: its plans can be compared by "
            "`vilp eval actions`, and run, but not decoded"
        )
    return np.stack(states)


def encode_moment(policy: Policy, episode: Episode, t: int) -> Any:
    """State of one observation, whatever the method makes of it.

    Raises:
        VilpError: the episode lacks a view.
    """
    missing = set(policy.spec.views) - set(episode.images)
    if missing:
        raise VilpError(f"the bundle wants views {sorted(missing)}; found {list(episode.images)}")
    recent = slice(max(0, t - 1), t + 1)
    proprio = ee_proprio(episode.ee_pose[recent], episode.gripper_width[recent])
    images = on_canvas([episode.images[view][t] for view in policy.spec.views])
    return policy.encode(images, proprio[-1], proprio[0] if t else None)
