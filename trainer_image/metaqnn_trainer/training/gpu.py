"""Looks for a GPU that works, and says what was found where there is none."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch

from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.errors import DeviceError
from metaqnn_trainer.training.memory import is_out_of_memory

_KERNEL_MODULE: Final = Path("/proc/driver/nvidia/version")
_VISIBLE: Final = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_NODE: Final = ("NODE_NAME", "HOSTNAME")
# CUDA's errors about a device, or its driver, that no program can use. Errors of a program, such as an illegal
# memory access, are not among them.
_DEVICE_FAILURES: Final = re.compile(
    r"no CUDA-capable device is detected|invalid device ordinal|busy or unavailable|uncorrectable (ECC|NVLink) error"
    r"|hardware stack error|driver version is insufficient|no kernel image is available|system not yet initialized"
    r"|unsupported display driver|forward compatibility was attempted|driver shutting down|\bMPS (client|server)\b"
    r"|CUDA (driver )?error: (unknown error|initialization error)|[Nn]o NVIDIA driver|NVIDIA driver on your system"
    r"|No CUDA GPUs are available|cudaGetDeviceCount|GPU is lost|fallen off the bus|not compiled with CUDA"
)


def _compute() -> None:
    """One addition on the GPU."""
    try:
        if (torch.ones(1, device="cuda") + 1).item() != 2:
            raise RuntimeError("a test computation gave a wrong result")
    except torch.OutOfMemoryError:
        if not torch.cuda.memory_allocated():  # other processes hold the memory: no net could be trained
            raise


def _driver() -> str:
    """The parts of CUDA that the machine has, in words."""
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    found = f"torch is built for CUDA {torch.version.cuda}"
    try:
        module = re.search(r"\d+\.\d+(\.\d+)?", _KERNEL_MODULE.read_text())
        found += f", the NVIDIA driver is {module[0] if module else 'of an unknown version'}"
    except OSError:
        found += ", there is no NVIDIA driver"
    try:
        code = ctypes.CDLL("libcuda.so.1").cuInit(0)
    except (OSError, AttributeError):
        return f"{found} and no libcuda.so.1"
    return found if code == 0 else f"{found}, cuInit says {code}"


def _is_shown() -> bool:
    """Whether the machine, or the container, has the file of a GPU."""
    return any(re.fullmatch(r"nvidia\d+", path.name) for path in Path("/dev").glob("nvidia*"))


class Gpus(NamedTuple):
    """The functions that look for GPUs."""

    available: Callable[[], bool] = torch.cuda.is_available
    devices: Callable[[], int] = torch.cuda.device_count
    compute: Callable[[], None] = _compute
    """Computes on the GPU; raises RuntimeError where the GPU does not work."""
    driver: Callable[[], str] = _driver
    environment: Mapping[str, str] = os.environ
    shown: Callable[[], bool] = _is_shown
    """Whether there is a GPU, though CUDA may not be able to use it."""

    def unused(self) -> str:
        """Why a GPU that is there cannot be used, in words; empty where one can, where there is none, and where
        CUDA_VISIBLE_DEVICES hides them on purpose.
        """
        hidden = self.environment.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
        if not self.available() and (hidden or not self.shown()):
            return ""
        trouble = self.trouble()
        return f"{trouble}: {self.driver()}" if trouble else ""

    def trouble(self) -> str:
        """Why no GPU can be used, in words; empty where one can."""
        if not self.available():
            return "CUDA is not available"
        if not self.devices():
            return "there are no devices"
        try:
            self.compute()
        except RuntimeError as error:
            return f"the first computation failed: {_first_line(error)}"
        return ""

    def check(self, wanted: int, device: torch.device) -> None:
        """Check that a trial that was given `wanted` GPUs (0: any device) can train on `device`, which was chosen when
        the process began. An error of an earlier trial may have broken CUDA for the rest of the process.

        Raises:
            DeviceError: it cannot, or would have to do without a GPU.
        """
        if not wanted and device.type != "cuda":
            return
        trouble = self.trouble() or ("" if device.type == "cuda" else "there was none when this process began")
        if trouble:
            seen = ", ".join(f"{name} is {self.environment.get(name, 'not set') or 'empty'}" for name in _VISIBLE)
            subject = "the GPU worked before, but is no longer usable"
            if wanted:
                subject = f"{wanted} GPU{'s' if wanted > 1 else ''} asked for, but none is usable"
            raise DeviceError(f"{subject}{self._place()}: {trouble}; {self.driver()}; {seen}")

    def failed(self, error: Exception) -> DeviceError | None:
        """The DeviceError for `error`, if it says that the device, or its driver, cannot be used any more; else
        None.
        """
        if not isinstance(error, RuntimeError) or is_out_of_memory(error) or not _DEVICE_FAILURES.search(str(error)):
            return None
        return DeviceError(f"the GPU failed{self._place()}: {_first_line(error)}")

    def _place(self) -> str:
        names = [name for variable in _NODE if (name := self.environment.get(variable))]
        return f" on {names[0]}" if names else ""


THIS_MACHINE: Final = Gpus()


def _first_line(error: BaseException) -> str:
    """The first line of an error: CUDA's errors continue with advice for people who debug kernels."""
    return one_line(str(error).strip().partition("\n")[0])
