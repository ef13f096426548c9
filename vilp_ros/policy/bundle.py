"""Policy bundles: a folder with `policy.yaml`, `weights.safetensors` and a model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.actions import ACTION_DIM
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.engines import Network, choose_device, compile_network, require_engine
from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.layout import PROPRIO_DIM
from vilp_ros.policy.ldp import BcPolicy, LdpPolicy
from vilp_ros.policy.networks import FrameDecoder, FrameEncoder, build_autoencoder, build_parts
from vilp_ros.policy.policy import Policy
from vilp_ros.policy.spec import BundleSpec, load_spec
from vilp_ros.policy.statistics import Statistics
from vilp_ros.policy.video_planner import Context, VideoPlanner
from vilp_ros.policy.vilp import VilpPolicy

__all__ = ["BundleSpec", "load_policy", "load_spec", "save_bundle", "save_untrained"]

WEIGHTS = "weights.safetensors"
METHODS: dict[str, type[Policy]] = {"ldp": LdpPolicy, "vilp": VilpPolicy, "bc": BcPolicy}


def build_modules(spec: BundleSpec) -> dict[str, nn.Module]:
    """Fresh networks of a bundle by name: `autoencoder.<view>`, then the method's own."""
    modules: dict[str, nn.Module] = {
        f"autoencoder.{view}": build_autoencoder(spec.policy.autoencoder, size)
        for view, size in spec.views.items()
    }
    return modules | build_parts(spec.policy, spec.layout)


def save_bundle(
    folder: str | Path, spec: BundleSpec, modules: dict[str, nn.Module], statistics: Statistics
) -> None:
    """Writes `policy.yaml` and `weights.safetensors`; weights are stored in half precision.

    Half precision halves the download and changes an action by less than a tenth of a millimetre.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}/{key}": value.detach().cpu().to(torch.float16).contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    tensors |= {f"statistics/{key}": value for key, value in statistics.tensors().items()}
    save_file(tensors, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    spec.save(folder)


def _read_weights(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors by network name."""
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise VilpError(f"{folder / WEIGHTS} cannot be read ({error}): fetch it anew") from error
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, rest = key.partition("/")
        parts.setdefault(name, {})[rest] = value.float()
    return parts


def load_modules(folder: Path, spec: BundleSpec) -> tuple[dict[str, nn.Module], Statistics]:
    """Networks of a bundle in their trained weights, and its statistics.

    Raises:
        VilpError: the weights are missing, damaged or do not match `spec`.
    """
    parts = _read_weights(folder)
    modules = build_modules(spec)
    try:
        for name, module in modules.items():
            module.load_state_dict(parts[name])
        return modules, Statistics.from_tensors(parts["statistics"])
    except (KeyError, RuntimeError) as error:
        what = str(error).splitlines()[0]
        raise VilpError(f"{folder / WEIGHTS} does not fit its policy.yaml: {what}") from error


def load_policy(
    bundle: str | Path,
    *,
    device: str = "auto",
    engine: str | None = None,
    threads: int = 1,
    steps: int | None = None,
    samples: int = 1,
) -> Policy:
    """Loads a bundle, ready to run.

    Args:
        bundle: the bundle's folder.
        device: `auto`, `cpu` or `cuda`. On CUDA the engine is torch.
        engine: `torch` or `openvino`; None takes the bundle's own choice.
        threads: CPU threads of an OpenVINO network.
        steps: DDIM steps of planner and inverse dynamics; None takes the bundle's.
        samples: imaginations per plan.

    Raises:
        VilpError: the bundle is missing, damaged or does not match its own description, or the
            engine or device is not available.
    """
    spec = load_spec(bundle)
    if steps is not None:
        spec.policy.sampler.planner_steps = spec.policy.sampler.idm_steps = steps
    device = choose_device(device)
    engine = engine or ("torch" if device != "cpu" else spec.policy.engine)
    require_engine(engine, device)
    modules, statistics = load_modules(Path(bundle), spec)
    networks = _Networks(_examples(spec, modules, samples), engine, device, threads)
    return METHODS[spec.method](spec, networks, statistics, samples)


class _Networks(Mapping[str, Network]):
    """Networks by name, compiled at first use: a process pays only for those that it runs."""

    def __init__(
        self,
        examples: dict[str, tuple[nn.Module, tuple[Tensor, ...]]],
        engine: str,
        device: str,
        threads: int,
    ) -> None:
        self._examples = examples
        self._options: dict[str, Any] = {"engine": engine, "device": device, "threads": threads}
        self._compiled: dict[str, Network] = {}

    def __getitem__(self, name: str) -> Network:
        if name not in self._compiled:
            module, example = self._examples[name]
            self._compiled[name] = compile_network(module, example, **self._options)
        return self._compiled[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._examples)

    def __len__(self) -> int:
        return len(self._examples)


def _examples(
    spec: BundleSpec, modules: dict[str, nn.Module], samples: int
) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
    """Every network with inputs of the shapes that it is run with."""
    layout, horizon = spec.layout, spec.horizon
    forecast, rows = layout.forecast_dim, spec.plan_shape[0]
    examples: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {}
    for view, (height, width) in spec.views.items():
        vae = modules[f"autoencoder.{view}"]
        frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
        examples[f"encoder.{view}"] = FrameEncoder(vae), (frame,)
        examples[f"decoder.{view}"] = FrameDecoder(vae), (torch.zeros(rows, layout.latent_dim),)
    state = torch.zeros(1, layout.row_dim)
    if spec.method == "bc":
        return examples | {"bc": (modules["bc"], (state,))}
    condition = state
    planner = modules["planner"]
    if isinstance(planner, VideoPlanner):
        size = next(iter(spec.views.values()))
        frames = torch.zeros(2, horizon, layout.views, *size, 3, dtype=torch.uint8)
        seen = (state, frames[0, :1]) if planner.sees_frames else (state,)
        with torch.inference_mode():
            condition = planner.context(*seen)
        examples["context"] = Context(planner), seen
        rows, steps = torch.zeros(horizon, layout.row_dim), torch.zeros(horizon, forecast)
        pair = (rows, steps)
        if isinstance(modules["low_level"], FramePolicy):
            pair = (*frames.unbind(), rows[:, layout.latents.stop :])
        examples["low_level"] = modules["low_level"], pair
    else:
        pairs = torch.zeros(horizon, 2 * forecast + PROPRIO_DIM)
        times = torch.zeros(horizon, dtype=torch.int64)
        examples["idm"] = modules["idm"], (torch.zeros(horizon, ACTION_DIM), times, pairs)
    noisy = torch.zeros(samples, horizon, forecast), torch.zeros(samples, dtype=torch.int64)
    examples["planner"] = planner, (*noisy, condition.clone().repeat(samples, 1))
    return examples


def save_untrained(
    folder: str | Path,
    views: dict[str, tuple[int, int]] | None = None,
    seed: int = 0,
    task: str = "lift",
    engine: str = "torch",
    method: str = "ldp",
    policy: PolicyConfig | None = None,
) -> BundleSpec:
    """Writes a bundle of random weights, for trying out everything but the behaviour.

    Args:
        folder: where to write it.
        views: view name to (height, width); None: agentview and eye_in_hand at 96x160.
        seed: seed of the weights.
        task: task that it claims.
        engine: engine that it asks for.
        method: `ldp`, `vilp` or `bc`, in a small configuration.
        policy: this configuration instead of the small one of `method` and `engine`.
    """
    policy = policy or _small(method, engine)
    size = {"agentview": (96, 160), "eye_in_hand": (96, 160)} if views is None else views
    spec = BundleSpec("untrained", task, size, "ee_pose", 0.05, policy)
    layout = spec.layout
    mean = np.zeros(layout.row_dim, np.float32)
    mean[layout.proprio] = [0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.08]  # down, open
    statistics = Statistics(
        state_mean=mean,
        state_std=np.full(layout.row_dim, 0.1, np.float32),
        delta_mean=np.zeros((policy.horizon, layout.forecast_dim), np.float32),
        delta_std=np.full((policy.horizon, layout.forecast_dim), 0.05, np.float32),
        action_mean=np.array([0, 0, 0, 0, 0, 0, 0.04], np.float32),
        action_std=np.full(ACTION_DIM, 0.01, np.float32),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = build_modules(spec)
    save_bundle(folder, spec, modules, statistics)
    return spec


def _small(method: str, engine: str) -> PolicyConfig:
    policy = PolicyConfig(method=method, engine=engine)
    policy.autoencoder.latent_dim, policy.autoencoder.channels = 8, [8, 8, 8]
    policy.planner.width, policy.planner.depth, policy.idm.width = 32, 1, 32
    if method == "vilp":
        policy.horizon, policy.frame_interval = 5, 2
        policy.autoencoder.kind, policy.autoencoder.channels = "spatial", [8, 8]
        policy.planner.kind, policy.planner.channels = "video", [8, 64]
        policy.low_level.channels, policy.low_level.width = [8, 8, 8], 16
    return policy
