"""Run a network on plain arrays: torch on any device, or OpenVINO on a CPU.

Only single network calls are compiled; the sampler loops in Python. One graph of the whole
unrolled sampler takes half a minute to convert and gains nothing at this size.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from vilp_ros.errors import VilpError

Network = Callable[..., np.ndarray]
ENGINES = ("torch", "openvino")
PARITY = 0.05
"""Largest root mean square difference of a network's output from torch's, over its own size."""


def choose_device(device: str) -> str:
    """`auto` is CUDA where there is one, else the CPU.

    Raises:
        VilpError: CUDA was asked for and is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise VilpError("device is 'cuda' but torch finds no CUDA device: use device:=auto or cpu")
    return device


def require_engine(engine: str, device: str) -> None:
    """Checks that an engine can run here, before any weight is read.

    Raises:
        VilpError: unknown engine, OpenVINO missing, or OpenVINO asked for on another device.
    """
    if engine not in ENGINES:
        raise VilpError(f"engine {engine!r}; available: {', '.join(ENGINES)}")
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
        engine: `torch` or `openvino`, checked by `require_engine`. OpenVINO runs in bf16 where
            that is close enough to torch, else in f32.
        device: torch device.
        threads: CPU threads of an OpenVINO network; torch takes the process's setting.

    Raises:
        VilpError: OpenVINO's network is further than `PARITY` from torch's.
    """
    if engine == "torch":
        return _torch_network(module, device)
    return _openvino_network(module, example, threads)


def _torch_network(module: nn.Module, device: str) -> Network:
    module = module.eval().to(device)

    def call(*arrays: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            inputs = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays]
            return module(*inputs).float().cpu().numpy()

    return call


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
        apart[precision] = float(_rms(found - expected) / (_rms(expected) + 1e-6))
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


def _rms(values: np.ndarray) -> np.floating:
    return np.sqrt(np.mean(np.square(values, dtype=np.float64)))
