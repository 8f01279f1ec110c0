"""What is read of a store: datasets, checked and kept; what other trials left."""

from __future__ import annotations

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, PluginRef, Recipe, WeightsRef
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.reading import Loaded, Reader, parse_object
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.tasks.base import data_key
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import NET, RUN, Bench, spec_of
from tests.trainer.images.test_dataset import altered


def test_a_missing_or_damaged_object_is_a_dataset_error(bench: Bench, digits: MadeDataset) -> None:
    with pytest.raises(DatasetError, match="the dataset is missing"):
        Reader(bench.store).dataset(DatasetRef(name="digits", digest="0" * 16))
    key = keys.dataset(digits.ref.name, digits.ref.digest)
    bench.store.put(key, digits.data[:-1] + b"x")
    with pytest.raises(DatasetError, match=f"{key} is damaged"):
        Reader(bench.store).dataset(digits.ref)


def test_another_dataset_under_this_name_is_not_this_dataset(bench: Bench, digits: MadeDataset) -> None:
    other = altered(digits, lambda t: t["test_images"].zero_())
    bench.store.put(keys.dataset("digits", digits.ref.digest), other)
    assert object_digest(other) != digits.ref.digest
    with pytest.raises(DatasetError, match="damaged"):
        Reader(bench.store).dataset(digits.ref)


def test_the_last_data_are_loaded_once() -> None:
    loaded, asked = Loaded(), list[str]()

    def load() -> object:
        asked.append("again")
        return object()

    first = loaded.get("a", load)
    assert loaded.get("a", load) is first
    other = loaded.get("b", load)
    assert other is not first
    assert loaded.get("a", load) not in (first, other), "of two large sets one is kept"
    assert len(asked) == 3


def test_what_data_depend_on(digits: MadeDataset) -> None:
    spec = spec_of(digits.ref)
    for same in ({"net": "[SM(10)]"}, {"recipe": Recipe(epochs=7)}, {"model": ModelOptions(batch_norm=True)}):
        assert data_key(spec.model_copy(update=same)) == data_key(spec)
    ref = DatasetRef(name="digits", digest="0" * 16)
    for other in ({"dataset": ref}, {"image_size": 9}, {"recipe": Recipe(normalisation="pixel")}):
        assert data_key(spec.model_copy(update=other)) != data_key(spec)
    task = PluginRef(name="classification", options={"a": 1})
    assert data_key(spec.model_copy(update={"task": task})) != data_key(spec)


def test_what_another_trial_left_can_be_read(bench: Bench) -> None:
    trial, read = bench.ask(), Reader(bench.store)
    assert read.spec(RUN, trial).net == NET
    with pytest.raises(RequestError, match="trial 000000000000 of run a-run"):
        read.spec(RUN, "0" * 12)
    Trainer(1).carry_out(bench.order(trial))
    weights = bench.result(trial).weights
    assert weights is not None
    ref = WeightsRef(run=RUN, trial=trial, sha256=weights.sha256)
    assert "0_conv.weight" in read.weights(ref)
    with pytest.raises(RequestError, match="weights of trial"):
        read.weights(ref.model_copy(update={"sha256": "0" * 64}))
    assert read.object(keys.request(RUN, trial)).startswith(b"{")
    with pytest.raises(DatasetError, match="nowhere"):
        read.object("nowhere")


def test_a_tensor_that_is_not_there_is_named(digits: MadeDataset) -> None:
    with pytest.raises(DatasetError, match=r"^digits has no tensor prices$"):
        parse_object(digits.data, "digits").tensors["prices"]
