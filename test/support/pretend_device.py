"""A make-believe accelerator: device `pretend:0`, with CUDA's rules of mixing and real numbers.

A CPU-only torch cannot show that a tensor was left behind: everything is on the CPU. Here tensors
that were moved hold a CPU tensor inside and compute with it, autograd included, and an operation
that mixes them with tensors of the CPU raises, as it does on CUDA. Autocast changes no type.
"""

from __future__ import annotations

import functools

import torch
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME, CPU = "pretend", torch.device("cpu")
COPIES = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
INDEXED = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}
"""A tensor of an accelerator may be indexed by indices on the CPU."""


class Moved(torch.Tensor):
    """A tensor on the make-believe device.

    Attributes:
        inside: the CPU tensor that it computes with.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inside):
        with torch.inference_mode(inside.is_inference()):
            moved = torch.Tensor._make_wrapper_subclass(
                cls,
                inside.size(),
                strides=inside.stride(),
                storage_offset=inside.storage_offset(),
                dtype=inside.dtype,
                layout=inside.layout,
                device=torch.device(NAME, 0),
            )
        moved.inside = inside
        return moved

    def __repr__(self):
        return f"Moved({self.inside})"

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return compute(op, *args, **(kwargs or {}))


def compute(op, *args, **kwargs):
    """Runs an operation in which this device takes part.

    Raises:
        RuntimeError: it mixes devices in a way that CUDA does not allow.
    """
    moved, left = {}, []

    def enter(x):
        if isinstance(x, Moved):
            moved[id(x.inside)] = x
            return x.inside
        if isinstance(x, list | tuple):
            return [enter(y) for y in x]
        if isinstance(x, torch.Tensor | torch.Generator):
            left.append(x)
        return CPU if isinstance(x, torch.device) else x

    inside = [enter(x) for x in args], {key: enter(x) for key, x in kwargs.items()}
    if moved and left and op not in COPIES:
        refuse_mixing(op, args, left)
    device = kwargs.get("device")
    onto = bool(moved) if device is None else torch.device(device).type == NAME

    def leave(x):
        if isinstance(x, list | tuple):
            return type(x)(leave(y) for y in x)
        if not isinstance(x, torch.Tensor):
            return x
        return moved[id(x)] if id(x) in moved else Moved(x)  # done in place, or new

    out = op(*inside[0], **inside[1])
    return leave(out) if onto else out


def refuse_mixing(op, args, left):
    """Raises where CUDA would, of what an operation takes from the CPU."""
    indices = args[1] if op in INDEXED else ()
    left = [x for x in left if not any(x is index for index in indices)]
    if any(isinstance(x, torch.Generator) for x in left):
        raise RuntimeError(f"{op}: a generator of the CPU for a tensor of {NAME}")
    changed = op._schema.is_mutable and any(x is args[0] for x in left)
    if changed or any(x.ndim for x in left):
        shapes = [tuple(x.shape) for x in left]
        raise RuntimeError(f"{op} mixes {NAME}:0 with tensors of the CPU, of shapes {shapes}")


class _Module(_DummyBackendModule):
    """What `torch.pretend` answers to."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device=None):
        return torch.get_rng_state()

    def set_rng_state(self, state, device=None):
        """Its random numbers come from the CPU's."""


@functools.cache
def device() -> str:
    """Makes the device known to torch, once a process, and gives its name."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("_", "IMPL")
    library.fallback(compute, "PrivateUse1")
    library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    device.library = library  # its operators live as long as it does
    return NAME
