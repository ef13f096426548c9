"""Where training runs: on which device, and in which of the processes that train together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

LONGEST_WAIT = timedelta(hours=1)
"""How long processes wait for one that reads or writes on a slow disk."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use, in microseconds of a period: `200000 100000` is two cores."""
MOST_THREADS = 16
"""Networks as small as these gain nothing from more."""
T = TypeVar("T")


def here() -> PartialState:
    """This process, among those that `torchrun` or `accelerate launch` started, and its device.

    CUDA where there is one, else the CPU. The only place of this room that chooses a device.
    """
    return PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself.

    Others imitate it: a CPU with AVX2 alone then takes four times as long as in float32, and a GPU
    before Ampere is no faster either.
    """
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        return any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return True


def threads() -> int:
    """Threads that this process may compute with.

    As many as torch takes by itself (physical cores, or OMP_NUM_THREADS), unless the process is
    bound to fewer cores or its container has a quota, of which torch knows nothing: threads beyond
    it would stop each other for most of every period.
    """
    least = min(torch.get_num_threads(), len(os.sched_getaffinity(0)), MOST_THREADS)
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(least, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroups of version 2, or "max"
        return least


def described() -> str:
    """Device, precision and processes in words."""
    me = here()
    device = "the CPU"
    if me.device.type != "cpu":
        name = torch.cuda.get_device_name(me.device) if me.device.type == "cuda" else ""
        device = f"{me.device} {name}".strip()
    if me.num_processes > 1:
        device += f", {me.num_processes} processes"
    return f"{device}, in {'bfloat16' if has_bf16(me.device) else 'float32: it has no bfloat16'}"


def first(do: Callable[[], T]) -> T:
    """Does in the first process what only one may: whatever writes a file, or decides by one.

    Args:
        do: what is done; what it returns or raises is small.

    Returns:
        What it returned, in every process; they wait for it.

    Raises:
        SystemExit: in the others, where it raised in the first, which says why.
    """
    me = here()
    if me.num_processes == 1:
        return do()
    told: list = [None, False]
    try:
        if me.is_main_process:
            told = [do(), True]
    finally:
        broadcast_object_list(told)
        if not (me.is_main_process or told[1]):
            sys.exit(2)
    return told[0]
