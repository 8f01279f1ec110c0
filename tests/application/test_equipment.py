"""What a run names and the trainer on this machine cannot use is said before there is a run."""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

from metaqnn_orch.application.equipment import prove_elsewhere, prove_equipment
from metaqnn_orch.errors import BadInput
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings
from tests.cli.conftest import needs_trainer
from tests.forked import trainer_with
from tests.trainer.odd_plugins import IDENTITY, install

pytestmark = needs_trainer


def settings_of(sections: dict[str, Any] | None = None, **task: Any) -> Settings:
    space = {"image_size": 8, "channels": 1, "classes": 10}
    return parse_settings({"dataset": {"name": "digits"}, "space": space, "task": task, **(sections or {})})


@pytest.fixture(scope="module")
def odd_trainer(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A trainer with the plug-ins of odd_plugins."""
    folder = tmp_path_factory.mktemp("odd")
    path = f"{install(folder)}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return trainer_with(folder, path)


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
def test_a_task_that_cannot_be_used(odd_trainer: list[str], task: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match="no net of this run could be trained: ") as refused:
        prove_equipment(settings_of(**task), odd_trainer)
    assert str(refused.value).startswith(f"no net of this run could be trained: {words}")


def test_a_task_that_can_be_used(odd_trainer: list[str]) -> None:
    assert prove_equipment(settings_of(name="fine"), odd_trainer) == "task fine"


def test_elsewhere_only_what_is_wrong_everywhere_is_refused(odd_trainer: list[str]) -> None:
    with pytest.raises(BadInput, match=r"could be trained: task.threshold: is unknown"):
        prove_elsewhere(settings_of(name="fine", threshold=7), odd_trainer)
    assert prove_elsewhere(settings_of(name="number"), odd_trainer) == "", "it can be loaded in the image, perhaps"
    assert prove_elsewhere(settings_of(name="fine"), odd_trainer) == "task fine"


def test_nothing_is_asked_of_what_is_built_in() -> None:
    assert prove_equipment(settings_of(name="classification"), ["/no/such/program"]) == ""


LIMIT: Final = {"reference": 1.0, "weight": 0.1}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"objective": {"measure": "f1"}}, "objective.measure names the measure f1, which no result of task classif"),
        ({"objective": {"soft_limits": {"spikes": LIMIT}}}, "objective.soft_limits names the measure spikes, "),
        ({"search": {"method": "guided", "front": {"seconds": "min"}}}, "the front names the measure seconds, "),
    ],
)
def test_measures_that_the_task_does_not_have(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        prove_equipment(settings_of(sections, name="classification"), ["/no/such/program"])
    assert str(refused.value).startswith(words)
    assert "there are params, macs, " in str(refused.value)
    assert "accuracy, balanced_accuracy, loss" in str(refused.value)


@pytest.mark.parametrize("measure", ["loss", "params", "seconds"])
def test_measures_that_it_has(measure: str) -> None:
    limits = {"measure": measure, "soft_limits": {measure: LIMIT}}
    assert prove_equipment(settings_of({"objective": limits}, name="classification"), ["/no/such/program"]) == ""
