"""Trained nets on the test images, alone and together."""

from __future__ import annotations

import json

import pytest
import torch

from metaqnn_trainer.__main__ import main
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.images.dataset import parse_dataset
from metaqnn_trainer.judge import Judged, judge
from metaqnn_trainer.load import load_trial
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import NET, RUN, Bench

OTHER = "[C(16,5,1), FC(32), SM(10)]"
CPU = torch.device("cpu")


@pytest.fixture
def pair(bench: Bench) -> list[tuple[str, str]]:
    """Two nets, trained, with their test accuracies in their results."""
    trials = []
    for net in (NET, OTHER):
        trial = bench.ask(net, Recipe(epochs=2, batch_size=32, evaluate_test=True))
        Trainer(1).carry_out(bench.order(trial))
        trials.append((RUN, trial))
    return trials


def test_one_net_is_judged_as_its_training_would_have(bench: Bench, pair: list[tuple[str, str]]) -> None:
    result = bench.result(pair[0][1])
    assert result.test_accuracy is not None
    found = judge(bench.store, pair[:1], CPU, print)
    dataset = parse_dataset(bench.store.get(keys.dataset(bench.dataset.name, bench.dataset.digest)), "it")
    assert found[:4] == (len(dataset.test), result.test_accuracy, result.test_accuracy, result.reward)
    assert found.class_names == [*"0123456789"]
    assert found.confusion == found.together_confusion
    net = load_trial(bench.store, *pair[0])[0]
    named = net.logits(net.dataset.test.images).argmax(1)
    assert found.confusion is not None
    for image, (label, name) in enumerate(zip(net.dataset.test.labels.tolist(), named.tolist(), strict=True)):
        found.confusion[label][name] -= 1
        assert found.confusion[label][name] >= 0, image
    assert not any(map(any, found.confusion))


def test_together_they_vote_by_their_mean_probabilities(bench: Bench, pair: list[tuple[str, str]]) -> None:
    found = judge(bench.store, pair, CPU, print)
    nets = [load_trial(bench.store, run, trial)[0] for run, trial in pair]
    test = nets[0].dataset.test
    mean = torch.stack([net.logits(test.images).softmax(1) for net in nets]).mean(0)
    assert found.together == pytest.approx((mean.argmax(1) == test.labels).float().mean().item())
    assert found.first == bench.result(pair[0][1]).test_accuracy
    assert 0.5 < found.validation_together <= 1
    assert found.confusion is not None
    assert found.together_confusion is not None
    for counts, accuracy in ((found.confusion, found.first), (found.together_confusion, found.together)):
        assert sum(row[label] for label, row in enumerate(counts)) == round(accuracy * found.images)
        assert sum(map(sum, counts)) == found.images
    assert found.confusion != found.together_confusion


def test_what_cannot_be_judged(bench: Bench, pair: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestError, match="no trial was named"):
        judge(bench.store, [], CPU, print)
    with pytest.raises(RequestError, match="is not complete"):
        judge(bench.store, [(RUN, "0" * 12)], CPU, print)


def test_from_the_command_line(bench: Bench, pair: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    named = [argument for run, trial in pair for argument in ("--trial", f"{run}/{trial}")]
    assert main(["judge", "--store", str(bench.root), "--threads", "1", *named]) == ExitCode.DELIVERED
    captured = capsys.readouterr()
    assert Judged(**json.loads(captured.out)) == judge(bench.store, pair, CPU, print)
    assert f"trial {pair[1][1]} of run {RUN}" in captured.err
    assert main(["judge", "--store", str(bench.root), "--trial", "nonsense"]) == ExitCode.BAD_REQUEST
    assert "metaqnn_trainer: --trial" in capsys.readouterr().err
