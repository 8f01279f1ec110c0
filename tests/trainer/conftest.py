"""The digits as a dataset object, a store that holds them, and requests to put beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import (
    DatasetRef,
    ModelOptions,
    Recipe,
    TrainerOptions,
    TrainingRequest,
    TrialSpec,
)
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.images.dataset import Dataset, parse_dataset
from metaqnn_trainer.sources.make import MadeDataset, make_dataset
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.training import session
from metaqnn_trainer.training.outcome import Subject, Training

RUN = "a-run"
NET = "[C(16,3,1), P(2,2), FC(32), SM(10)]"
QUICK = Recipe(epochs=1, batch_size=64)


class Bench:
    """A store in a directory, with the digits in it."""

    def __init__(self, root: Path, digits: MadeDataset) -> None:
        self.root = root
        self.store = DirectoryStore(root)
        self.dataset = digits.ref
        self.store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)

    def ask(self, net: str = NET, recipe: Recipe = QUICK, options: TrainerOptions | None = None, **spec: Any) -> str:
        """Leave a request; the trial's id."""
        asked = spec_of(self.dataset, net, recipe, **spec)
        request = TrainingRequest(run=RUN, trial=asked.trial_id(), spec=asked, options=options or TrainerOptions())
        self.store.put(keys.request(RUN, request.trial), encode(request))
        return request.trial

    def order(self, trial: str, attempt: int = 1) -> WorkOrder:
        return WorkOrder(store=str(self.root), run=RUN, trial=trial, attempt=attempt)

    def result(self, trial: str) -> TrainingResult:
        """The trial's, which can have come of what was asked."""
        found = decode(TrainingResult, self.store.get(keys.result(RUN, trial)), "result.json")
        spec = decode(TrainingRequest, self.store.get(keys.request(RUN, trial)), "request.json").spec
        check_result(found, spec, spec_cost(spec, 1), 10)
        return found

    def weights_key(self, trial: str) -> str:
        artifact = artifacts.named(self.result(trial))["weights"]
        return artifacts.locate(self.store, RUN, trial, "weights", artifact)

    def files(self, trial: str) -> dict[str, bytes]:
        """Everything that lies in the trial's directory, by name, without the digests that are in some."""
        places = (self.root / keys.trial(RUN, trial)).iterdir()
        return {re.sub(r"-[0-9a-f]{16}\.", ".", place.name): place.read_bytes() for place in places}


def subject_of(spec: TrialSpec, dataset: Dataset) -> Subject:
    """What is trained, where the digits are classified."""
    return Subject(task_of(spec), dataset, dataset.mean.device, spec_cost(spec, 1))


def train(spec: TrialSpec, dataset: Dataset, *arguments: Any, **options: Any) -> Training:
    return session.train(subject_of(spec, dataset), *arguments, **options)


def spec_of(dataset: DatasetRef, net: str = NET, recipe: Recipe = QUICK, **spec: Any) -> TrialSpec:
    options: dict[str, Any] = {"image_size": 8, "model": ModelOptions()} | spec
    return TrialSpec(net=net, dataset=dataset, recipe=recipe, **options)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Several test processes share the processors.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> MadeDataset:
    return make_dataset("digits")


@pytest.fixture(scope="session")
def digits_dataset(digits: MadeDataset) -> Dataset:
    return parse_dataset(digits.data, "digits")


@pytest.fixture
def bench(tmp_path: Path, digits: MadeDataset) -> Bench:
    return Bench(tmp_path / "store", digits)
