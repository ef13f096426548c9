"""Run a network on plain arrays: torch on any device, compiled on CUDA, or OpenVINO on a CPU.

Only single network calls are compiled; the sampler loops in Python. One graph of the whole
unrolled sampler takes half a minute to convert and gains nothing at this size.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from vilp_ros.errors import VilpError
from vilp_ros.policy.config import ENGINES

Network = Callable[..., np.ndarray]
PARITY = 0.05
"""Largest root mean square difference of a network's output from torch's, over its own size."""


@dataclass(frozen=True)
class Runtime:
    """How a bundle is run.

    Attributes:
        engine: of `ENGINES`, checked by `require_engine`.
        device: torch device.
        threads: CPU threads of an OpenVINO network.
        samples: imaginations per plan.
    """

    engine: str = "torch"
    device: str = "cpu"
    threads: int = 1
    samples: int = 1


class Networks(Mapping[str, Network]):
    """Networks by name, compiled at first use: a process pays only for those that it runs."""

    def __init__(
        self, examples: dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]], runtime: Runtime
    ) -> None:
        self._examples, self._runtime = examples, runtime
        self._compiled: dict[str, Network] = {}

    def __getitem__(self, name: str) -> Network:
        if name not in self._compiled:
            module, example = self._examples[name]
            run = self._runtime
            self._compiled[name] = compile_network(
                module, example, run.engine, run.device, run.threads
            )
        return self._compiled[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._examples)

    def __len__(self) -> int:
        return len(self._examples)


def choose_device(device: str) -> str:
    """`auto` is CUDA where there is one, else the CPU.

    Raises:
        VilpError: CUDA was asked for and is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise VilpError("device is 'cuda' but torch finds no CUDA device: choose auto or cpu")
    return device


def require_engine(engine: str, device: str) -> None:
    """Checks that an engine can run here, before any weight is read.

    Raises:
        VilpError: unknown engine, OpenVINO missing, or asked for on another device than its own.
    """
    if engine not in ENGINES:
        raise VilpError(f"engine {engine!r}; available: {', '.join(ENGINES)}")
    if engine == "compile" and not device.startswith("cuda"):
        raise VilpError(
            f"engine 'compile' is torch.compile on CUDA, not for {device}: use 'torch' or, on a "
            "CPU, 'openvino'"
        )
    if engine == "openvino" and device != "cpu":
        raise VilpError(f"engine 'openvino' runs on the CPU, not on {device}: use engine 'torch'")
    if engine == "openvino" and find_spec("openvino") is None:
        raise VilpError(
            "engine 'openvino' needs the package openvino (`pip install openvino`); "
            "or choose engine 'torch'"
        )


def compile_network(
    module: nn.Module, example: tuple[torch.Tensor, ...], engine: str, device: str, threads: int
) -> Network:
    """A callable from arrays to one array.

    Args:
        module: network in its final weights.
        example: inputs of the shapes and types it will be called with.
        engine: of `ENGINES`, checked by `require_engine`. OpenVINO runs in bf16 where that is
            close enough to torch, else in f32. `compile` was never timed: no CUDA machine was had.
        device: torch device.
        threads: CPU threads of an OpenVINO network; torch takes the process's setting.

    Raises:
        VilpError: the network is further than `PARITY` from torch's, or cannot be compiled.
    """
    if engine == "torch":
        return _torch_network(module.eval().to(device), device)
    if engine == "compile":
        return _compiled_network(module, example, device)
    return _openvino_network(module, example, threads)


def _torch_network(module: Callable[..., torch.Tensor], device: str) -> Network:
    def call(*arrays: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            inputs = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays]
            return module(*inputs).float().cpu().numpy()

    return call


def _compiled_network(module: nn.Module, example: tuple[torch.Tensor, ...], device: str) -> Network:
    module = module.eval().to(device)
    # Graphs of whole calls: at these sizes a GPU waits for launches, not for numbers.
    network = _torch_network(torch.compile(module, mode="reduce-overhead", dynamic=False), device)
    trial = [x.numpy() for x in _trial(example)]
    expected = _torch_network(module, device)(*trial)
    try:
        found = network(*trial)
    except Exception as error:  # of the compiler's many parts
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise VilpError(f"torch.compile failed ({said}): use engine 'torch'") from error
    if (apart := _apart(found, expected)) > PARITY:
        raise VilpError(
            f"compiled {type(module).__name__} differs from torch's by {apart:.0%} of its size, "
            f"more than {PARITY:.0%}: use engine 'torch'"
        )
    return network


def _openvino_network(
    module: nn.Module, example: tuple[torch.Tensor, ...], threads: int
) -> Network:
    # OpenVINO reports every conversion to its makers, from a process of its own. A robot's
    # computer keeps quiet: this import now fails, and OpenVINO takes its stub.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino as ov

    module = module.eval().cpu()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # shapes are fixed on purpose
        model = ov.convert_model(module, example_input=example)
    shapes = [list(x.shape) for x in example]
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    trial = _trial(example)
    with torch.inference_mode():
        expected = module(*trial).float().numpy()
    apart = {}
    for precision in ("bf16", "f32"):  # bf16 is f32 where the CPU has none
        network = _compiled(model, threads, precision)
        found = network(*(x.numpy() for x in trial))
        apart[precision] = _apart(found, expected)
        if apart[precision] <= PARITY:
            return network
    raise VilpError(
        f"OpenVINO's {type(module).__name__} differs from torch's by {apart['bf16']:.0%} of its "
        f"size in bf16 and {apart['f32']:.0%} in f32, more than {PARITY:.0%}: use engine 'torch'"
    )


def _compiled(model: Any, threads: int, precision: str) -> Network:
    import openvino as ov

    options: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    has = torch.cpu.get_capabilities()
    if has.get("avx", False) and not has.get("avx512_f", False):
        # Fusing small layers kills the process where there is no AVX-512: an MLP of width 32, in
        # OpenVINO 2026.4. Not to fuse costs 2 to 5 % of a replan.
        options["SNIPPETS_MODE"] = "DISABLE"
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()

    def call(*arrays: np.ndarray) -> np.ndarray:
        outputs = request.infer(list(arrays), share_inputs=True)
        return np.array(outputs[0], dtype=np.float32)

    return call


def _trial(example: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Inputs of the example's shapes that tell whether two engines agree."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(x.shape, generator=generator)
        if x.is_floating_point()
        else torch.randint(100, x.shape, generator=generator, dtype=x.dtype)
        for x in example
    )


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference over that of what was expected."""
    return float(_rms(found - expected) / (_rms(expected) + 1e-6))


def _rms(values: np.ndarray) -> np.floating:
    return np.sqrt(np.mean(np.square(values, dtype=np.float64)))
