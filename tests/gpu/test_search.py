"""A search and its finals, with a trainer on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from metaqnn_orch.api import Search
from metaqnn_orch.reporting.verdict import read_verdict
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.opening import open_store


def test_a_search_with_its_finals(gpu: torch.device, tmp_path: Path) -> None:
    settings = {"schedule.total": 8, "recipe.precision": "bf16"}
    found = Search.start("digits", run="on-a-gpu", store=tmp_path, settings=settings)
    assert found.best is not None
    assert found.best.reward is not None
    assert found.best.reward > 0.5
    store = open_store(str(tmp_path))
    device = torch.cuda.get_device_name(gpu)
    for trial in found.trials:
        assert read(TrainingResult, store.get, keys.result("on-a-gpu", trial.trial)).device == device
    finals = [sys.executable, "-m", "metaqnn_orch", "finals", "on-a-gpu", "--store", str(tmp_path), "--top", "1"]
    subprocess.run(finals, check=True, capture_output=True)
    assert read_verdict(store, "on-a-gpu-finals") is not None


def test_without_its_gpu_a_trial_is_told_why(gpu: torch.device) -> None:
    program = "import torch\nfrom metaqnn_trainer.training.gpu import Gpus\nGpus().check(1, torch.device('cpu'))"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert found.returncode
    assert "1 GPU asked for, but none is usable" in found.stderr
    assert "CUDA_VISIBLE_DEVICES is empty" in found.stderr
