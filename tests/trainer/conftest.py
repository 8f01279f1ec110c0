"""The digits as a dataset object, a store that holds them, and requests to put beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import (
    DatasetRef,
    ModelOptions,
    Recipe,
    TrainerOptions,
    TrainingRequest,
    TrainingResult,
    TrialSpec,
)
from metaqnn_trainer.data import Dataset, parse_dataset
from metaqnn_trainer.sources.make import MadeDataset, make_dataset
from metaqnn_trainer.store.directory import DirectoryStore

RUN = "a-run"
NET = "[C(16,3,1), P(2,2), FC(32), SM(10)]"
QUICK = Recipe(epochs=1, batch_size=64)


class Bench:
    """A store in a directory, with the digits in it."""

    def __init__(self, root: Path, digits: MadeDataset) -> None:
        self.root = root
        self.exchange = DirectoryStore(root)
        self.dataset = digits.ref
        self.exchange.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)

    def ask(self, net: str = NET, recipe: Recipe = QUICK, options: TrainerOptions | None = None, **spec: Any) -> str:
        """Leave a request; the trial's id."""
        asked = spec_of(self.dataset, net, recipe, **spec)
        request = TrainingRequest(run=RUN, trial=asked.trial_id(), spec=asked, options=options or TrainerOptions())
        self.exchange.put(keys.request(RUN, request.trial), encode(request))
        return request.trial

    def result(self, trial: str) -> TrainingResult:
        return decode(TrainingResult, self.exchange.get(keys.result(RUN, trial)), "result.json")

    def files(self, trial: str) -> dict[str, bytes]:
        """Everything that lies in the trial's directory, by name."""
        return {path.name: path.read_bytes() for path in (self.root / keys.trial(RUN, trial)).iterdir()}


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
