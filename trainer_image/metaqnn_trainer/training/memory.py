"""The device's memory: how much there is, how much a trial used, and a limit on allocations."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import torch

_OWN: Final = Path("/proc/self")
_MACHINE: Final = Path("/proc/meminfo")
_CONTAINER: Final = Path("/sys/fs/cgroup/memory.max")
_RESET_PEAK: Final = "5"  # written to clear_refs, see proc(5)
_OUT_OF_MEMORY: Final = (
    "can't allocate memory",  # message of the CPU's allocator
    "not enough memory",
    "Storage size calculation overflowed",  # message for more bytes than 64 bits can count
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a net does not fit the device, whichever library says so."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


class DeviceMemory(NamedTuple):
    """The memory of one device."""

    size: int
    """Bytes that this process could have there, if it were alone, in addition to those that it has."""
    free: Callable[[], int]
    """Returns the number of free bytes."""

    @classmethod
    def of(cls, device: torch.device) -> DeviceMemory:
        return cls(memory_size(device), partial(memory_free, device))


def memory_size(device: torch.device, container: Path = _CONTAINER) -> int:
    """Bytes that this process could have on `device`, if it were alone there, in addition to those that it has. The
    container's limit counts, if it is less than the machine's memory.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory - torch.cuda.memory_allocated(device)
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no such file, or no limit: "max"
        size = min(size, int(container.read_text()))
    # Pages of libraries are backed by files, and are freed where memory is short.
    return max(0, size - (_field(_OWN / "status", "RssAnon") or 0))


def memory_free(device: torch.device, machine: Path = _MACHINE) -> int:
    """Bytes of `device` that are free, or that would be freed when needed."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return _field(machine, "MemAvailable") or sys.maxsize


class PeakMemory:
    """The largest number of bytes that this process has had on `device` since this object was made, in addition to
    those that it had then.

    On a CPU it is the resident set's size, which includes libraries and fragmentation, and which some systems do not
    tell.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before: int | None = torch.cuda.memory_allocated(device)
        else:
            try:
                (_OWN / "clear_refs").write_text(_RESET_PEAK)
                self._before = _field(_OWN / "status", "VmRSS")
            except OSError:
                self._before = None

    def bytes(self) -> int | None:
        if self._before is None:
            return None
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        return max(0, (_field(_OWN / "status", "VmHWM") or 0) - self._before)


@contextmanager
def bounded_memory(device: torch.device, size: int) -> Iterator[None]:
    """A block in which an allocation in main memory fails if it would give this process more than `size` additional
    bytes. Without it the kernel would grant the allocation, and kill this or another process when the memory is
    used. It works only on Linux, and only where training happens in main memory.
    """
    data = _field(_OWN / "status", "VmData")
    if device.type != "cpu" or data is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [data + size, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def release_memory(device: torch.device) -> None:
    """Free the memory of the last net."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def memory_for_training(device: torch.device) -> Iterator[DeviceMemory]:
    """The device's memory, bounded while a net is trained in it, and given back afterwards."""
    memory = DeviceMemory.of(device)
    try:
        with bounded_memory(device, memory.size):
            yield memory
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # its frames hold the net
        raise
    finally:
        release_memory(device)


def _field(file: Path, name: str) -> int | None:
    """The bytes in a line `name:  1234 kB` of a file of /proc."""
    with suppress(OSError, ValueError, IndexError):
        for line in file.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
