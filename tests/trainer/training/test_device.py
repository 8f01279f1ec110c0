"""Threads by the container's limit; memory given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metaqnn_trainer.contract.messages import Precision, Recipe
from metaqnn_trainer.training.device import (
    autocast,
    choose_device,
    choose_kernels,
    cpu_quota,
    device_name,
    process_began,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("max 100000\n", sys.maxsize),
        ("", sys.maxsize),
    ],
)
def test_a_containers_limit_is_whole_processors(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path / "cpu.max") == expected


def test_no_container_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "cpu.max") == sys.maxsize


def test_precision_is_a_gpus_matter() -> None:
    expected: dict[Precision, bool] = {"tf32": True, "fp32": False, "bf16": True}
    for precision, allowed in expected.items():
        choose_kernels(Recipe(precision=precision))
        assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is allowed
        with autocast(torch.device("cpu"), precision):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    choose_kernels(Recipe())


def test_sums_have_one_order_unless_the_recipe_says_otherwise() -> None:
    for deterministic in (False, True):
        torch.backends.cudnn.benchmark = True
        choose_kernels(Recipe(deterministic=deterministic))
        assert torch.backends.cudnn.deterministic is deterministic
        assert torch.backends.cudnn.benchmark is False
    torch.backends.cudnn.deterministic = False
    choose_device(1)
    assert torch.backends.cudnn.deterministic is True


def test_when_the_process_began(tmp_path: Path) -> None:
    program = (
        "import time; began = time.monotonic(); time.sleep(0.2);"
        "from metaqnn_trainer.training.device import process_began; found = process_began();"
        "print(found is None or began - 30 < found <= began + 0.05)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"]
    assert process_began(tmp_path / "nowhere") is None


def test_the_device_has_a_name_and_gives_memory_back() -> None:
    device = choose_device(1)
    assert torch.get_num_threads() == 1
    assert device_name(device)
