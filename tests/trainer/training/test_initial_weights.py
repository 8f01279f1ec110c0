"""Training that begins with another trial's weights."""

from __future__ import annotations

import safetensors.torch
import torch

from metaqnn_trainer.contract.messages import Recipe, WeightsRef
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.training.course import Course, Hooks
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import NET, RUN, Bench, spec_of, subject_of

ONCE = Recipe(epochs=1, batch_size=64)
HARDLY = Recipe(epochs=1, batch_size=64, learning_rate=1e-7)


def carried_out(bench: Bench, trial: str) -> int:
    return Trainer(1).carry_out(bench.order(trial)).exit_code


def first_trial(bench: Bench) -> WeightsRef:
    trial = bench.ask(NET, ONCE)
    assert carried_out(bench, trial) == ExitCode.DELIVERED
    weights = bench.result(trial).weights
    assert weights is not None
    return WeightsRef(run=RUN, trial=trial, sha256=weights.sha256)


def test_it_begins_where_the_other_ended(bench: Bench) -> None:
    ref = first_trial(bench)
    goes_on, scratch = bench.ask(NET, HARDLY, initial=ref), bench.ask(NET, HARDLY)
    assert goes_on != scratch
    assert carried_out(bench, goes_on) == carried_out(bench, scratch) == ExitCode.DELIVERED
    before = bench.result(ref.trial).reward
    assert before > 0.3
    assert abs(bench.result(goes_on).reward - before) < 0.02
    assert bench.result(scratch).reward < 0.2


def test_what_does_not_fit_is_drawn_afresh(bench: Bench, digits_dataset: Dataset) -> None:
    """The same net but for its last layers, as on a dataset with other classes."""
    ref = first_trial(bench)
    taken = safetensors.torch.load(bench.store.get(bench.weights_key(ref.trial)))
    spec = spec_of(bench.dataset, NET.replace("FC(32)", "FC(16)"), ONCE)
    hooks = Hooks(lambda: None, lambda record: None, lambda: None)
    begun, fresh = (Course(subject_of(spec, digits_dataset), hooks, initial=initial) for initial in (taken, None))
    for course in (begun, fresh):
        course._begin()
    ours, theirs = begun._net.state_dict(), fresh._net.state_dict()
    same = {name for name in ours if torch.equal(ours[name], theirs[name])}
    assert {name for name in ours if name in taken and torch.equal(ours[name], taken[name])} == {
        "0_conv.weight",
        "0_conv.bias",
        "3_logits.bias",
    }
    assert {name for name in ours if name.endswith("weight")} - same == {"0_conv.weight"}


def test_weights_that_are_not_the_ones_that_were_meant_are_refused(bench: Bench) -> None:
    ref = first_trial(bench)
    for wrong in (ref.model_copy(update={"sha256": "0" * 64}), ref.model_copy(update={"trial": "0" * 12})):
        assert carried_out(bench, bench.ask(NET, HARDLY, initial=wrong)) == ExitCode.BAD_REQUEST
