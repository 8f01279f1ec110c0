"""The device that training runs on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Final

import torch

from metaqnn_trainer.contract.messages import Precision, Recipe
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.progress import say
from metaqnn_trainer.training.gpu import THIS_MACHINE, Gpus

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8


def choose_device(threads: int | None = None, gpus: Gpus = THIS_MACHINE) -> torch.device:
    """The GPU if there is one that works, else the CPU with `threads` threads (by default, the number of processors of
    this process), set up so that the same request gives the same weights.
    """
    torch.set_num_threads(threads or min(torch.get_num_threads(), cpu_quota()))
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    _keep_freed_memory()
    if not gpus.trouble():
        return torch.device("cuda")
    if unused := gpus.unused():
        say(f"there is a GPU, but it cannot be used: {unused}")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))[:200]
    return f"cpu, {platform.machine()}, {amount(torch.get_num_threads(), 'thread')}"


def choose_kernels(recipe: Recipe) -> None:
    """Set by which kernels a GPU computes: whether products in single precision may be computed in TF32, and whether
    sums must have the same order each time.

    cuDNN does not try out kernels (cudnn.benchmark): on an H200 that took 1 to 7 s a net and up to nine times the
    memory, and gained 2 % or less over its own choice for all but one of six nets.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = recipe.precision != "fp32"
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = recipe.deterministic, False


def computes_in(device: torch.device, precision: Precision) -> torch.dtype:
    """The type of numbers in which layers are computed on `device`: bfloat16 if asked for, on GPUs that have it."""
    if precision == "bf16" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """The context of a forward pass: layers in lower precision, if asked for; the loss stays in single precision."""
    low = computes_in(device, precision)
    return nullcontext() if low == torch.float32 else torch.autocast(device.type, low)


def dropout_source(device: torch.device) -> torch.Generator:
    """The generator for a net's dropout on `device`. On a GPU each net has one of its own: a recorded step reads the
    seed when the device executes it.
    """
    return torch.Generator(device) if device.type == "cuda" else torch.default_generator


def seed_dropout(source: torch.Generator, seed: int) -> None:
    """Seed `source`, from which dropout draws. torch.manual_seed would seed every device that exists, which takes 160
    µs.
    """
    if source.device.type == "cuda":
        torch.cuda.default_generators[torch.cuda.current_device()].graphsafe_set_state(source)
    source.manual_seed(seed)


def process_began(own: Path = Path("/proc/self/stat")) -> float | None:
    """When this process was started, by time.monotonic; None where the system does not say."""
    try:
        ticks = int(
            own.read_text().rpartition(")")[2].split()[19]
        )  # starttime, see proc(5); it stands after a name that may hold any character
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.monotonic() - age


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Number of processors that the container may use, by its limit: torch counts those of the whole machine, and its
    threads would then spend their time waiting for each other.
    """
    try:
        quota, period = file.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or no limit: "max 100000"
        return sys.maxsize


def _keep_freed_memory() -> None:
    # By default glibc returns each large block to the system, and faults its pages in again: this takes up to a quarter
    # of a step's time on a CPU. Other C libraries know no mallopt, or ignore it.
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)  # other threads share it: an arena of their own would not keep freed memory
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
