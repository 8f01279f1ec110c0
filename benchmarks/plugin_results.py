"""What the results of several plug-ins need: presets without their objective, and what was measured on test parts."""

from __future__ import annotations

from pathlib import Path

import yaml

from metaqnn_orch.settings.presets import presets
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.directory import DirectoryStore


def without_objective(preset: str, folder: Path) -> str:
    """The path of a settings file in `folder` that says what the preset does, but for its objective. Settings that are
    laid over a preset cannot take a section away.
    """
    content = yaml.safe_load(presets()[preset].read())
    del content["objective"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset}-without-objective.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def measured_on_test(store: str, run: str, trial: str) -> dict[str, float]:
    """The measures on the test part, of a trial that was asked for them."""
    return read(TrainingResult, DirectoryStore(store).get, keys.result(run, trial)).test_measures
