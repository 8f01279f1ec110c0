"""The device that training runs on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

import torch

from metaqnn_trainer.contract.messages import Precision
from metaqnn_trainer.gpu import THIS_MACHINE, Gpus

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8

_OF_THREAD: Final = threading.local()


def choose_device(threads: int | None = None, gpus: Gpus = THIS_MACHINE) -> torch.device:
    """The GPU if there is one that works, else the CPU with `threads` threads (by default as many as there are
    processors for this process), set up so that the same request gives the same weights. On a GPU that holds but for
    overlapping pooling, whose gradient has no deterministic implementation there."""
    torch.set_num_threads(threads or min(torch.get_num_threads(), cpu_quota()))
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    _keep_freed_memory()
    return torch.device("cpu" if gpus.trouble() else "cuda")


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))[:200]
    return f"cpu, {platform.machine()}, {torch.get_num_threads()} threads"


def allow_precision(precision: Precision) -> None:
    """Whether products of single precision may be computed in TF32, on GPUs that have it."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """The context of a forward pass: layers in bfloat16, if asked for, on GPUs that have it; the loss stays single."""
    if precision == "bf16" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def dropout_source(device: torch.device) -> torch.Generator:
    """What a net's dropout draws from on `device`. On a GPU each net has one of its own: a recorded step reads the seed
    when the device comes to it, and another net's may be in a common one by then."""
    return torch.Generator(device) if device.type == "cuda" else torch.default_generator


def seed_dropout(source: torch.Generator, seed: int) -> None:
    """Have dropout draw from `source`, which is seeded. torch.manual_seed would seed every device there is, which takes
    160 µs."""
    if source.device.type == "cuda":
        torch.cuda.default_generators[torch.cuda.current_device()].graphsafe_set_state(source)
    source.manual_seed(seed)


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, work in a stream that is this thread's alone, and always the same one: what threads put into theirs
    overlaps there. It follows what the thread has done in its former stream, and is followed by what it does there."""
    if device.type != "cuda":
        yield
        return
    if not hasattr(_OF_THREAD, "stream"):
        _OF_THREAD.stream = torch.cuda.Stream(device)
    before, own = torch.cuda.current_stream(device), _OF_THREAD.stream
    own.wait_stream(before)
    with torch.cuda.stream(own):
        yield
    before.wait_stream(own)


def work_so_far(device: torch.device) -> Callable[[], None]:
    """What waits until the device has done all that this thread has asked of it by now. A CPU always has."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event(blocking=True)
    event.record()
    return event.synchronize


def release_memory(device: torch.device) -> None:
    """Give back what the last net held."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def process_began(own: Path = Path("/proc/self/stat")) -> float | None:
    """When this process was started, by time.monotonic; None where the system does not tell."""
    try:
        ticks = int(
            own.read_text().rpartition(")")[2].split()[19]
        )  # starttime, see proc(5), after a name that may be odd
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.monotonic() - age


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Processors that the container may use, by its limit: torch counts those of the whole machine, and its threads
    would then spend their time waiting for each other."""
    try:
        quota, period = file.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or no limit: "max 100000"
        return sys.maxsize


def _keep_freed_memory() -> None:
    # glibc returns each large block to the system, and faults its pages in again at the next step: up to a quarter of
    # a step's time on a CPU. Other C libraries know no mallopt, or ignore it.
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)  # the arenas that other threads would get keep nothing
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
