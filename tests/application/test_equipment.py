"""What a run names and the trainer on this machine cannot use is said before there is a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.application.equipment import prove_equipment
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings
from tests.cli.conftest import needs_trainer
from tests.trainer.odd_plugins import IDENTITY, install

pytestmark = needs_trainer


def settings_of(**task: Any) -> Settings:
    space = {"image_size": 8, "channels": 1, "classes": 10}
    return parse_settings({"dataset": {"name": "digits"}, "space": space, "task": task})


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"name": "number"},
            f"tasks plug-in 'number' of {IDENTITY} cannot be used: it is of type int, and a subclass of",
        ),
        ({"name": "abstract"}, f"tasks plug-in 'abstract' of {IDENTITY} cannot be used: it does not define "),
        ({"name": "no-options"}, f"tasks plug-in 'no-options' of {IDENTITY} cannot be used: "),
        ({"name": "fine", "threshold": 7}, "task.threshold: "),
    ],
)
def test_a_task_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{install(tmp_path)}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(BadInput, match="no net of this run could be trained: ") as refused:
        prove_equipment(settings_of(**task))
    assert str(refused.value).startswith(f"no net of this run could be trained: {words}")


def test_a_task_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{install(tmp_path)}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert prove_equipment(settings_of(name="fine")) == "task fine"


def test_nothing_is_asked_of_what_is_built_in() -> None:
    assert prove_equipment(settings_of(name="classification"), ["/no/such/program"]) == ""
