"""Numbers from outside: each has bounds, they tell one tale, and it is that of what was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.contract.codec import Message, decode, encode
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import LearningCurve, PluginRef, TrainerOptions, TrialSpec
from metaqnn_trainer.contract.result import Artifact, EpochRecord, Position, Prediction, TrainingResult
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from tests.contract.test_messages import RESULT, SPEC, STOPPED

COST = spec_cost(SPEC, 1)
SOUND = RESULT.model_copy(update=COST._asdict())


def forged(result: TrainingResult = SOUND, **changes: Any) -> TrainingResult:
    """What `result` with other values is read as."""
    return decode(TrainingResult, json.dumps(json.loads(encode(result)) | changes), "result")


HUGE: list[dict[str, Any]] = [
    {"attempt": 10**6 + 1},
    {"best_epoch": 10_001, "epochs": 10_001},
    {"epochs": 10_001},
    {"learning_rates": [10.5]},
    {"learning_rates": [-0.1]},
    {"params": 10**15 + 1},
    {"macs": 10**400},
    {"images_per_second": 1e10},
    {"seconds": 1e9},
    {"startup_seconds": 1e9},
    {"closing_seconds": 1e300},
    {"estimated_memory": 2**61},
    {"peak_memory": 10**400},
    {"micro_batch": 65_537},
    {"resumed_from": {"rate": 21, "epoch": 1, "step": 0}},
    {"resumed_from": {"rate": 1, "epoch": 10_002, "step": 0}},
    {"resumed_from": {"rate": 1, "epoch": 1, "step": 10**10}},
    {"weights": {"size": 2**41, "sha256": "ab" * 32}},
    {"history": {"size": 2**24 + 1, "sha256": "ab" * 32}},
    {"versions": {"x" * 101: "1"}},
    {"versions": {"torch": "x" * 201}},
]


@pytest.mark.parametrize("changes", HUGE, ids=str)
def test_a_number_beyond_anything_real_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match=r"^result is not valid: "):
        forged(**changes)


def test_a_prediction_beyond_anything_real() -> None:
    with pytest.raises(MessageError, match=r"^result is not valid: prediction\.spread"):
        forged(STOPPED, prediction={"accuracy": 0.9, "spread": 1e13, "best": 0.95})


@pytest.mark.parametrize(
    "kind",
    [
        *(TrainingResult, EpochRecord, Artifact, Prediction, Position, LearningCurve, TrainerOptions),
        *(DatasetInfo, WorkOrder, WorkReport),
    ],
)
def test_no_number_and_no_text_is_without_bounds(kind: type[Message]) -> None:
    for part in _parts(kind.model_json_schema()):
        assert _has_end(part), part


def _parts(schema: Any) -> list[dict[str, Any]]:
    """Every description of a value within a JSON schema."""
    if isinstance(schema, list):
        return [part for one in schema for part in _parts(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if isinstance(schema.get("type"), str) else []
    return own + [part for value in schema.values() for part in _parts(value)]


def _has_end(schema: dict[str, Any]) -> bool:
    if "const" in schema or "enum" in schema:
        return True
    match schema["type"]:
        case "number" | "integer":
            ends = ("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")
            return all(limit in schema or strict in schema for limit, strict in zip(*ends, strict=True))
        case "string":
            return "maxLength" in schema or "pattern" in schema
        case "array":
            return "maxItems" in schema
        case _:
            return True


TALES: list[tuple[dict[str, Any], str]] = [
    ({"best_epoch": 0}, "completed, but no epoch counts"),
    ({"status": "untrainable"}, "untrainable, but an epoch counts"),
    ({"status": "too_large"}, "too_large, but an epoch counts"),
    ({"best_epoch": 6}, "the best epoch is not among"),
    ({"last_val_accuracy": 0.95}, "the last epoch is better than the best"),
    ({"status": "timed_out", "best_epoch": 0, "weights": None}, "no epoch counts, but the accuracies differ"),
    ({"status": "timed_out", "best_epoch": 0, "last_val_accuracy": 0.9}, "no epoch counts, but there are weights"),
    ({"last_val_accuracy": None}, "val_accuracy and last_val_accuracy must be given together"),
    ({"status": "timed_out", "test_measures": {"loss": 0.1}}, "test images were seen before"),
    ({"learning_rates": []}, "no learning rate was tried"),
    ({"status": "timed_out", "test_accuracy": 0.9}, "test images were seen before"),
    ({"status": "stopped_early"}, "stopped_early and a prediction come together"),
]


@pytest.mark.parametrize(("changes", "complaint"), TALES, ids=str)
def test_what_no_training_comes_to(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MessageError, match=f"^result is not valid: the whole: .*{complaint}"):
        forged(**changes)


def test_what_no_early_end_comes_to() -> None:
    with pytest.raises(MessageError, match="keeps no weights"):
        forged(STOPPED, weights={"size": 1, "sha256": "ab" * 32})
    with pytest.raises(MessageError, match="better than the best"):
        forged(STOPPED, measured=0.96)
    with pytest.raises(MessageError, match="its reward is not the predicted one"):
        forged(STOPPED, reward=0.93)
    with pytest.raises(MessageError, match="a measured reward come together"):
        forged(STOPPED, measured=None)
    with pytest.raises(MessageError, match="a measured reward come together"):
        forged(measured=0.9)


def accuracy(value: float) -> dict[str, float]:
    return {"reward": value, "val_accuracy": value, "last_val_accuracy": value}


def chance(status: str, **changes: Any) -> TrainingResult:
    """A result in which no epoch counts."""
    values: dict[str, Any] = {"best_epoch": 0, "weights": None, **accuracy(0.1)}
    return forged(**{"status": status, **values, **changes})


def test_sound_results() -> None:
    check_result(SOUND, SPEC, COST, 10)
    check_result(STOPPED.model_copy(update=COST._asdict()), SPEC, COST, 10)
    check_result(chance("too_large", learning_rates=[], epochs=0), SPEC, COST, 10)
    check_result(chance("timed_out", epochs=0), SPEC, COST, 10)
    check_result(chance("untrainable", epochs=1, learning_rates=_RATES), SPEC, COST, 10)


_RATES = [0.001, 0.0004, 0.00016, 6.4e-5, 2.56e-5]
MISMATCHES: list[tuple[TrainingResult, str]] = [
    (
        forged(params=COST.params + 1),
        f"parameters and {COST.macs} multiply-accumulates, but the net has {COST.params} and",
    ),
    (forged(macs=0), "and 0 multiply-accumulates"),
    (forged(trial="0" * 12), "of another trial"),
    (forged(spec_digest="0" * 64), "of another trial"),
    (forged(epochs=21), "21 epochs, but the recipe has 20"),
    (forged(learning_rates=[*_RATES, 1e-5]), "6 learning rates, but the recipe allows 5"),
    (forged(learning_rates=[0.002]), "learning rates are not the recipe's"),
    (forged(learning_rates=[0.001, 0.0005]), "learning rates are not the recipe's"),
    (chance("untrainable", epochs=1), "gave up after 1 learning rate and 1 epoch"),
    (chance("untrainable", epochs=2, learning_rates=_RATES), "gave up after 5 learning rates and 2 epochs"),
    (chance("too_large", **accuracy(0.9)), "no epoch counts, but its reward is 0.9"),
    (chance("timed_out", **accuracy(0.9)), "no epoch counts, but its reward is 0.9"),
    (forged(val_accuracy=0.89, last_val_accuracy=0.8), "its reward is 0.9, but its accuracy is 0.89"),
    (forged(val_accuracy=None, last_val_accuracy=None), "it has no accuracy, although the task is classification"),
    (forged(resumed_from={"rate": 6, "epoch": 1, "step": 0}), "went on from rate 6, epoch 1, step 0"),
    (forged(resumed_from={"rate": 1, "epoch": 22, "step": 0}), "went on from rate 1, epoch 22, step 0"),
    (forged(micro_batch=129), "129 examples went through the net at once, of a batch of 128"),
    (forged(test_accuracy=0.9), "which was not asked for"),
    (forged(test_measures={"accuracy": 0.9}), "which was not asked for"),
    (forged(weights={"size": 2**30, "sha256": "ab" * 32}), "weights are larger than the net"),
    (forged(history={"size": 2**23, "sha256": "ab" * 32}), "history is longer than its training"),
]


@pytest.mark.parametrize(("result", "complaint"), MISMATCHES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_come_of_what_was_asked(result: TrainingResult, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint) as caught:
        check_result(result, SPEC, COST, 10)
    assert str(caught.value).startswith(f"result.json cannot be of trial {SPEC.trial_id()}: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("net", "says"),
    [
        ("[P(9,1), SM(10)]", r"\[P\(9,1\), SM\(10\)\] cannot be built for images of 3x8x8: P\(9,1\) does not fit"),
        ("[C(64,3), SM(10)]", "the net cannot be read: column 2: C takes 3 numbers, found 2"),
    ],
)
def test_a_net_that_is_none_has_no_cost(net: str, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        spec_cost(TrialSpec(net=net, dataset=SPEC.dataset, image_size=8), 3)


REGRESSION = TrialSpec(
    net="two hidden layers",
    dataset=SPEC.dataset,
    space=PluginRef(name="tables"),
    task=PluginRef(name="regression", options={"target": "price"}),
    plugins={"metaqnn.tasks:regression": "metaqnn-regression 0.1.0"},
)


def of_regression(**changes: Any) -> TrainingResult:
    own = {"trial": REGRESSION.trial_id(), "spec_digest": REGRESSION.digest(), "chance": -2.0}
    measured = {"reward": -0.5, "measures": {"mse": 3.5}, "val_accuracy": None, "last_val_accuracy": None}
    return forged(RESULT, **{**own, **measured, **changes})


def test_what_another_task_comes_to_is_held_against_its_own_chance() -> None:
    cost = (RESULT.params, RESULT.macs)
    check_result(of_regression(), REGRESSION, cost)
    nothing: dict[str, Any] = {"status": "timed_out", "best_epoch": 0, "weights": None, "measures": {}}
    check_result(of_regression(**nothing, reward=-2.0), REGRESSION, cost)
    with pytest.raises(MessageError, match=r"no epoch counts, but its reward is -0\.5"):
        check_result(of_regression(**nothing), REGRESSION, cost)
    with pytest.raises(MessageError, match=r"no epoch counts, but its reward is -0\.5"):
        check_result(of_regression(**nothing, chance=None), REGRESSION, cost)
    by_chance = {"chance": 0.1, "reward": 0.1, "val_accuracy": 0.1, "last_val_accuracy": 0.1}
    check_result(of_regression(**nothing, **by_chance), REGRESSION, cost)  # whose reward is the accuracy
    better = by_chance | {"val_accuracy": 0.9, "last_val_accuracy": 0.9}
    with pytest.raises(MessageError, match=r"has the accuracy 0\.9, but the task regression does not measure that"):
        check_result(of_regression(**nothing, **better), REGRESSION, cost)
    with pytest.raises(MessageError, match=r"has the accuracy 0\.9, but the task regression does not measure that"):
        check_result(of_regression(val_accuracy=0.9, last_val_accuracy=0.9), REGRESSION, cost)
    check_result(of_regression(val_accuracy=0.9, last_val_accuracy=0.9, measures={"accuracy": 0.9}), REGRESSION, cost)
    with pytest.raises(MessageError, match="the net has 1 and 2"):
        check_result(of_regression(), REGRESSION, (1, 2))
