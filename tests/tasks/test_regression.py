"""A task and a family of designs that are not built in: everything holds of them without a change of the core."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
import safetensors.torch
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import DatasetRef, PluginRef, Recipe, TrialSpec, WeightsRef
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.load import load_trial
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.tasks.classification import Classification
from tests.tasks.behaviour import ROOT, RUN, Behaviour
from tests.tasks.regression import Regression
from tests.tasks.widths import Widths

INSTALLED = """\
[metaqnn.tasks]
made-up = tests.tasks.regression:PLUGIN
[metaqnn.spaces]
widths = tests.tasks.widths:PLUGIN
"""


def table() -> tuple[DatasetRef, bytes]:
    """A sum of four numbers, and a little noise."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for part, number in (("train", 500), ("validation", 100), ("test", 50)):
        x = torch.randn(number, 4, generator=generator)
        tensors |= {f"{part}_x": x, f"{part}_y": x.sum(1) + 0.1 * torch.randn(number, generator=generator)}
    info = DatasetInfo(name="table", train=500, validation=100, test=50, source="made up", facts={"columns": 4})
    data = safetensors.torch.save(tensors, metadata={"info": info.text()})
    return DatasetRef(name="table", digest=object_digest(data)), data


class TestBehaviour(Behaviour):
    pictures: ClassVar[set[str]] = {"fit"}
    hopeless: ClassVar[dict[str, Any]] = {"optimizer": "sgd", "learning_rate": 10.0, "restart_factor": 0.9}

    @staticmethod
    def tasks(name: str) -> type[Regression]:
        return {"made-up": Regression}[name]

    @staticmethod
    def spaces(name: str) -> type[Widths]:
        return {"widths": Widths}[name]

    def put_dataset(self, store: DirectoryStore) -> DatasetRef:
        ref, data = table()
        store.put(keys.dataset(ref.name, ref.digest), data)
        return ref

    def spec(self, dataset: DatasetRef, **recipe: Any) -> TrialSpec:
        return TrialSpec(
            net="16-8",
            dataset=dataset,
            space=PluginRef(name="widths", options={"inputs": 4}),
            task=PluginRef(name="made-up", options={"noise": 0.01}),
            recipe=Recipe(**({"epochs": 2, "batch_size": 100, "learning_rate": 0.02} | recipe)),
        )

    def environment(self, folder: Path) -> dict[str, str]:
        metadata = folder / "installed" / "made_up-0.1.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 0.1\n")
        (metadata / "entry_points.txt").write_text(INSTALLED)
        return {**os.environ, "PYTHONPATH": f"{folder / 'installed'}{os.pathsep}{ROOT}"}

    def test_what_it_measures(self, store: DirectoryStore) -> None:
        result = self.delivered(store, self.spec(self.put_dataset(store), epochs=20))
        assert result.reward == result.measures["r2"] > 0.8
        assert (result.val_accuracy, result.last_val_accuracy, result.test_accuracy) == (None, None, None)
        assert (result.params, result.macs) == (4 * 16 + 16 + 16 * 8 + 8 + 8 + 1, 4 * 16 + 16 * 8 + 8)
        assert result.estimated_memory is None, "nobody knows"

    def test_the_wrong_version_of_a_plug_in_trains_nothing(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        other = spec.model_copy(update={"plugins": {"metaqnn.tasks:made-up": "made-up 0.2"}})
        report = self.carry_out(store, self.ask(store, other))
        assert report.exit_code == ExitCode.UNEQUIPPED
        assert report.reason.startswith("made-up 0.2 is not installed in this trainer, or in its image: ")

    def test_a_design_that_cannot_be_read(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store)).model_copy(update={"net": "wide"})
        report = self.carry_out(store, self.ask(store, spec))
        assert report.exit_code == ExitCode.BAD_REQUEST
        assert "a width is a number" in report.reason

    def test_options_of_the_space_are_named_too(self, store: DirectoryStore) -> None:
        space = PluginRef(name="widths", options={"inputs": 0})
        spec = self.spec(self.put_dataset(store)).model_copy(update={"space": space})
        report = self.carry_out(store, self.ask(store, spec))
        assert report.exit_code == ExitCode.UNEQUIPPED
        assert report.reason.startswith("space.options.inputs: ")

    def test_it_begins_with_the_weights_of_another_trial(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store), epochs=10)
        first = self.delivered(store, spec)
        assert first.weights is not None
        ref = WeightsRef(run=RUN, trial=first.trial, sha256=first.weights.sha256)
        hardly = self.spec(spec.dataset, epochs=1, learning_rate=1e-9, weight_decay=0.0)
        assert self.delivered(store, hardly.model_copy(update={"initial": ref})).reward > first.reward - 0.05

    def test_its_nets_are_not_loaded_as_those_that_classify(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        self.delivered(store, spec)
        with pytest.raises(RequestError, match="nets of the task made-up do not classify images"):
            load_trial(store, RUN, spec.trial_id(), self.tasks, self.spaces)


def test_designs_that_stand_for_nets_are_classified_with() -> None:
    class Depths(Widths):
        def net(self, design: str) -> str:
            return f"[FC({design}), SM(10)]"

    ref = DatasetRef(name="x", digest="0" * 16)
    spec = TrialSpec(net="32", dataset=ref, image_size=8, space=PluginRef(name="depths"))
    task = task_of(spec, spaces=lambda name: Depths)
    assert isinstance(task, Classification)
    assert task.parts() == 2
