"""Policy bundles: a folder with `policy.yaml`, `weights.safetensors` and a model card."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from vilp_ros.canvas import Size
from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.engines import Runtime, choose_device, require_engine
from vilp_ros.policy.policy import Policy
from vilp_ros.policy.registry import METHODS
from vilp_ros.policy.spec import BundleSpec, load_spec
from vilp_ros.policy.statistics import Statistics
from vilp_ros.policy.weights import write_weights

__all__ = ["BundleSpec", "load_policy", "load_spec", "save_bundle", "save_untrained"]


def save_bundle(
    folder: str | Path, spec: BundleSpec, modules: dict[str, nn.Module], statistics: Statistics
) -> None:
    """Writes `policy.yaml` and `weights.safetensors`.

    Raises:
        VilpError: a number is not finite or out of range; a bundle that was there stays.
    """
    folder = Path(folder)
    spec.check()
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder, modules, statistics)
    spec.save(folder)


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
        engine: `torch`, `openvino`, or `compile` on CUDA; None takes the bundle's own choice.
        threads: CPU threads of an OpenVINO network.
        steps: DDIM steps of planner and inverse dynamics; None takes the bundle's.
        samples: imaginations per plan.

    Raises:
        VilpError: the bundle is missing, damaged or does not match its own description, its method
            is not installed, the engine or device is not available, or a number is out of range.
    """
    spec = load_spec(bundle)
    if steps is not None:
        spec.policy.sampler.planner_steps = spec.policy.sampler.idm_steps = steps
        spec.check()
    if samples < 1:
        raise VilpError(f"samples is {samples}, expected at least 1")
    device = choose_device(device)
    engine = engine or ("torch" if device != "cpu" else spec.policy.engine)
    require_engine(engine, device)
    runtime = Runtime(engine, device, threads, samples)
    return spec.method_class.load(Path(bundle), spec, runtime)


def save_untrained(
    folder: str | Path,
    views: dict[str, Size] | None = None,
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
        method: name of an installed method, in its small configuration.
        policy: this configuration instead of the small one of `method` and `engine`.
    """
    if policy is None:
        policy = METHODS.find(method).small()
        policy.engine = engine
    size = {"agentview": (96, 160), "eye_in_hand": (96, 160)} if views is None else views
    spec = BundleSpec("untrained", task, size, "ee_pose", 0.05, policy)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = spec.method_class.modules(spec)
    save_bundle(folder, spec, modules, spec.method_class.plausible_statistics(policy, size))
    return spec
