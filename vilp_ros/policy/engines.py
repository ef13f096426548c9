"""Run a network on plain arrays: torch on any device, or OpenVINO on a CPU.

Only single network calls are compiled; the sampler loops in Python. One graph of the whole
unrolled sampler takes half a minute to convert and gains nothing at this size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from vilp_ros.errors import VilpError

Network = Callable[..., np.ndarray]
ENGINES = ("torch", "openvino")


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
        engine: `torch` or `openvino`, checked by `require_engine`.
        device: torch device.
        threads: CPU threads of an OpenVINO network; torch takes the process's setting.
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
    with torch.inference_mode():
        model = ov.convert_model(module, example_input=example)
    shapes = [list(x.shape) for x in example]
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    options: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16",  # f32 where the CPU has no bf16
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()

    def call(*arrays: np.ndarray) -> np.ndarray:
        outputs = request.infer(list(arrays), share_inputs=True)
        return np.array(outputs[0], dtype=np.float32)

    return call
