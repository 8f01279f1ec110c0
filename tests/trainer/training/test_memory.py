"""Memory: what there is, what was taken, and what is not there, whoever says so."""

from __future__ import annotations

import resource
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from metaqnn_trainer.training.memory import (
    DeviceMemory,
    PeakMemory,
    is_out_of_memory,
    memory_for_training,
    memory_free,
    memory_size,
)

CPU = torch.device("cpu")

BOUNDED = """
import torch
from metaqnn_trainer.training.memory import bounded_memory, is_out_of_memory
with bounded_memory(torch.device("cpu"), 100 << 20):
    torch.zeros(50 << 20, dtype=torch.uint8)
    try:
        torch.zeros(200 << 20, dtype=torch.uint8)
    except RuntimeError as error:
        print(is_out_of_memory(error))
torch.zeros(200 << 20, dtype=torch.uint8)
"""


def test_the_allocators_own_errors() -> None:
    with pytest.raises(RuntimeError) as allocation:
        torch.empty(2**50)
    with pytest.raises(RuntimeError) as overflow:
        nn.Linear(2**40, 2**40)
    assert is_out_of_memory(allocation.value)
    assert is_out_of_memory(overflow.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"))


def test_other_errors_are_other_errors() -> None:
    with pytest.raises(RuntimeError) as shapes:
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not is_out_of_memory(shapes.value)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_containers_limit_counts_where_it_is_less(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    alone = memory_size(CPU, limit)
    for text in ("max\n", str(2**60)):
        limit.write_text(text)
        assert memory_size(CPU, limit) == pytest.approx(alone, rel=0.05)
    limit.write_text(str(1 << 20))
    assert memory_size(CPU, limit) == 0  # this process has more than that already


def test_what_others_have_not_taken(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       2000 kB\nMemAvailable:       1000 kB\n")
    assert memory_free(CPU, tmp_path / "meminfo") == 1000 * 1024
    assert memory_free(CPU, tmp_path / "nowhere") == sys.maxsize


def test_the_peak_is_seen_after_it_is_gone() -> None:
    before = PeakMemory(CPU)
    torch.ones(64 << 20, dtype=torch.uint8)
    peak, nothing = before.bytes(), PeakMemory(CPU).bytes()
    if peak is None or nothing is None:
        pytest.skip("this system does not tell")
    assert 60 << 20 < peak < 120 << 20
    assert nothing < 30 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux's")
def test_beyond_the_bound_allocations_fail() -> None:
    found = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there do allocations fail")
def test_the_bound_lasts_as_long_as_training_and_an_error_holds_no_net() -> None:
    before, alive = resource.getrlimit(resource.RLIMIT_DATA), []

    def train(memory: DeviceMemory) -> None:
        net = nn.Linear(10, 10)
        alive.append(weakref.ref(net))
        assert memory.size > 0
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), memory_for_training(CPU) as memory:
        train(memory)
    assert alive[0]() is None
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
