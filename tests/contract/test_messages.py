from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metaqnn_trainer.contract.bounds import MAX_LINE
from metaqnn_trainer.contract.codec import MAX_MESSAGE_BYTES, Message, canonical_json, decode, encode, encode_line
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import (
    DatasetRef,
    LearningCurve,
    ModelOptions,
    PluginRef,
    PredictionRule,
    QuarterExample,
    QuarterRule,
    RatePhase,
    Recipe,
    TrainerOptions,
    TrainingRequest,
    TrialSpec,
)
from metaqnn_trainer.contract.result import Artifact, EpochRecord, ExitCode, Prediction, TrainingResult
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.spaces.cnn.notation import format_net
from tests.spaces.cnn.nets import nets

SPEC = TrialSpec(
    net="[C(64,3,1), P(2,2), SM(10)]", dataset=DatasetRef(name="digits", digest="0123456789abcdef"), image_size=8
)
INITIAL = {"run": "r", "trial": "0" * 12, "sha256": "ab" * 32}
REQUEST = TrainingRequest(run="r", trial=SPEC.trial_id(), spec=SPEC)
RESULT = TrainingResult(
    run="r",
    trial=SPEC.trial_id(),
    spec_digest=SPEC.digest(),
    attempt=1,
    status="completed",
    reward=0.9,
    measures={"accuracy": 0.9, "loss": 0.3},
    chance=0.1,
    val_accuracy=0.9,
    best_epoch=3,
    last_val_accuracy=0.875,
    epochs=5,
    learning_rates=[0.001],
    params=1000,
    macs=50_000,
    images_per_second=1234.5,
    seconds=2.5,
    device="cpu",
    versions={"torch": "2.6.0"},
    weights=Artifact(size=4000, sha256="ab" * 32),
)

EARLY_END = PredictionRule(
    best=0.95,
    confidence=0.9,
    examples=(LearningCurve(params=1000, macs=50_000, layers=3, accuracies=(0.1, 0.9)),) * 2,
)
QUARTER = QuarterRule(epochs=20, threshold=0.8, best=0.95, examples=(QuarterExample(quarter=0.5, final=0.9),) * 2)
STOPPED = RESULT.model_copy(
    update={
        "status": "stopped_early",
        "reward": 0.92,
        "measured": 0.9,
        "prediction": Prediction(accuracy=0.92, spread=0.01, best=0.95),
        "weights": None,
    }
)

RECIPE_CHANGES: dict[str, Any] = {
    "epochs": 21,
    "batch_size": 64,
    "optimizer": "sgd",
    "learning_rate": 0.002,
    "learning_rate_decay": 0.5,
    "decay_epochs": 6,
    "phases": [{"epochs": 20, "learning_rate": 0.001}],
    "adam_betas": [0.9, 0.99],
    "adam_epsilon": 1e-7,
    "momentum": 0.8,
    "weight_decay": 0.0,
    "chance_factor": 2.0,
    "restart_factor": 0.5,
    "max_rates": 4,
    "dropout": "none",
    "fc_dropout": 0.25,
    "normalisation": "pixel",
    "precision": "bf16",
    "deterministic": False,
    "mirror": True,
    "translate": 1,
    "crop": 0.5,
    "rotation": 10.0,
    "cutout": 4,
    "brightness": 0.1,
    "contrast": 0.2,
    "saturation": 0.3,
    "class_weights": "balanced",
    "evaluate_test": True,
    "seed": 1,
}


def forged(**changes: Any) -> bytes:
    """The result as JSON with other values."""
    return json.dumps(json.loads(encode(RESULT)) | changes).encode()


def with_accuracy(text: str) -> bytes:
    """The result with any text where the accuracy stood."""
    least = encode(RESULT.model_copy(update={"last_val_accuracy": 0.0}))
    return least.replace(b'"val_accuracy": 0.9', b'"val_accuracy": ' + text.encode(), 1)


@pytest.mark.parametrize(
    "message",
    [
        REQUEST,
        RESULT,
        REQUEST.model_copy(update={"options": TrainerOptions(early_end=EARLY_END)}),
        REQUEST.model_copy(update={"options": TrainerOptions(early_end=QUARTER)}),
        STOPPED,
        RESULT.model_copy(
            update={
                **{"status": "too_large", "reason": "Größe\n", "weights": None, "epochs": 0, "best_epoch": 0},
                **{"val_accuracy": 0.1, "last_val_accuracy": 0.1, "learning_rates": []},
            }
        ),
        EpochRecord(rate=1, epoch=1, learning_rate=1e-3, train_loss=None, reward=1.0, val_accuracy=1.0, seconds=0.5),
        WorkOrder(store="s3://b/p", run="r", trial="0" * 12, attempt=2),
        WorkReport(trial="0" * 12, exit_code=ExitCode.STORE.value, reason="gone"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_survive_the_wire(message: Message) -> None:
    kind = type(message)
    assert decode(kind, encode(message), "x") == message
    assert decode(kind, encode(message).replace(b"\n", b"\r\n"), "x") == message
    assert decode(kind, encode_line(message).decode(), "x") == message
    assert encode_line(message).count(b"\n") == 1


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "-0.1", "1.5", '"0.9"', "true", "[0.9]", "{}", "2"]
)
def test_a_poisoned_accuracy(text: str) -> None:
    with pytest.raises(MessageError, match=r"^result is not valid: val_accuracy: must be"):
        decode(TrainingResult, with_accuracy(text), "result")


def with_early_end(early_end: str) -> bytes:
    """The request with any text as the rule for an early end."""
    return encode(REQUEST).replace(b'"early_end": null', b'"early_end": ' + early_end.encode(), 1)


def test_the_rule_of_an_earlier_release() -> None:
    curve = '{"params": 1000, "macs": 50000, "layers": 3, "accuracies": [0.1, 0.9]}'
    text = f'{{"best": 0.95, "confidence": 0.9, "examples": [{curve}, {curve}]}}'
    assert decode(TrainingRequest, with_early_end(text), "request").options.early_end == EARLY_END


@pytest.mark.parametrize("threshold", ["NaN", "Infinity", "-Infinity", "1e999", "1e13", "null", "true", '"0.8"'])
def test_a_poisoned_threshold(threshold: str) -> None:
    text = QUARTER.model_dump_json().replace('"threshold":0.8', f'"threshold":{threshold}')
    with pytest.raises(MessageError, match=r"^request is not valid"):
        decode(TrainingRequest, with_early_end(text), "request")


@pytest.mark.parametrize("change", [{"epochs": 1}, {"confidence": 0.9}, {"examples": []}, {"best": None}])
def test_a_rule_of_a_quarter_that_is_none(change: dict[str, Any]) -> None:
    text = json.dumps(QUARTER.model_dump() | change)
    with pytest.raises(MessageError, match=r"^request is not valid"):
        decode(TrainingRequest, with_early_end(text), "request")


@pytest.mark.parametrize(("status", "prediction"), [("stopped_early", None), ("completed", STOPPED.prediction)])
def test_a_net_is_stopped_early_by_a_prediction_and_no_other_has_one(
    status: str, prediction: Prediction | None
) -> None:
    data = forged(status=status, prediction=prediction and prediction.model_dump())
    with pytest.raises(MessageError, match="stopped_early and a prediction come together"):
        decode(TrainingResult, data, "result")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_reward_of_a_net_that_was_stopped_early(measured: float, predicted: float, best: float) -> None:
    reward = Prediction(accuracy=predicted, spread=0.01, best=best).reward(measured)
    assert reward <= best
    assert reward in (measured, predicted, best)
    if measured <= best:
        assert reward >= measured


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("1", 1.0), ("1.0", 1.0), ("5e-1", 0.5), ("1e-999", 0.0)])
def test_accuracies_at_the_edge(text: str, value: float) -> None:
    assert decode(TrainingResult, with_accuracy(text), "result").val_accuracy == value


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": "1"}, "schema_version"),
        ({"status": "perfect"}, "status"),
        ({"trial": "../../x"}, "trial"),
        ({"trial": SPEC.trial_id() + "\n"}, "trial"),
        ({"run": "R"}, "run"),
        ({"spec_digest": "0" * 63}, "spec_digest"),
        ({"attempt": 0}, "attempt"),
        ({"attempt": 1.5}, "attempt"),
        ({"attempt": True}, "attempt"),
        ({"best_epoch": -1}, "best_epoch"),
        ({"epochs": "5"}, "epochs"),
        ({"last_val_accuracy": 86.0}, "last_val_accuracy"),
        ({"test_accuracy": -1.0}, "test_accuracy"),
        ({"learning_rates": [0.001] * 21}, "learning_rates"),
        ({"learning_rates": [float("nan")]}, "learning_rates.0"),
        ({"seconds": float("inf")}, "seconds"),
        ({"reason": "x" * 501}, "reason"),
        ({"device": 7}, "device"),
        ({"device": "x" * 201}, "device"),
        ({"versions": {str(n): "" for n in range(21)}}, "versions"),
        ({"versions": {"torch": 2}}, "versions.torch"),
        ({"weights": {"size": -1, "sha256": "ab" * 32}}, "weights.size"),
        ({"weights": {"size": 1, "sha256": "AB" * 32}}, "weights.sha256"),
        ({"weights": {"size": 1, "sha256": "ab" * 32, "path": "/etc"}}, "weights.path"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_forged_result(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(MessageError, match=f"^result is not valid: {place}: "):
        decode(TrainingResult, forged(**changes), "result")


@pytest.mark.parametrize("field", ["run", "trial", "spec_digest", "attempt", "status", "reward", "params"])
def test_a_missing_field(field: str) -> None:
    values = json.loads(encode(RESULT.model_copy(update={"val_accuracy": None, "last_val_accuracy": None})))
    del values[field]
    if field == "reward":  # which results of earlier releases do not have
        del values["val_accuracy"]
    with pytest.raises(MessageError, match=f"^result is not valid: {field}: must be given"):
        decode(TrainingResult, json.dumps(values), "result")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        encode(RESULT)[:-10],
        encode(RESULT) * 2,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"attempt": ' + b"1" * 10_000 + b"}",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf" + encode(RESULT),
        encode(RESULT).decode().encode("utf-16"),
        encode(RESULT).decode().encode("utf-16-le"),
        gzip.compress(encode(RESULT), mtime=0),
        encode(RESULT).replace(b"completed", b"compl\xffeted"),
        encode(RESULT).replace(b"completed", b"compl\x00eted"),
        encode(RESULT).replace(b'"cpu"', b'"\\ud800"'),
        encode(RESULT).replace(b'"cpu"', b"'cpu'"),
        encode(RESULT).replace(b"}\n", b",}\n"),
    ],
)
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(MessageError, match=r"^result is not valid") as caught:
        decode(TrainingResult, data, "result")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 400


def test_text_that_no_encoding_holds() -> None:
    with pytest.raises(MessageError, match="not valid JSON"):
        decode(WorkReport, '{"reason": "\ud800"}', "x")


def test_equal_keys_are_refused_wherever_they_stand() -> None:
    twice = encode(RESULT).replace(b'"val_accuracy": 0.9', b'"val_accuracy": 0.1, "val_accuracy": 0.9', 1)
    with pytest.raises(MessageError, match="the key 'val_accuracy' is there twice"):
        decode(TrainingResult, twice, "result")
    nested = encode(RESULT).replace(b'"size": 4000', b'"size": 4000, "siz\\u0065": 4000', 1)
    with pytest.raises(MessageError, match="the key 'size' is there twice"):
        decode(TrainingResult, nested, "result")


def test_an_error_is_one_printable_line_whatever_the_keys() -> None:
    with pytest.raises(MessageError) as caught:
        decode(TrainingResult, forged(**{"line\nbreak\x1b[31m" + "x" * 1000: 1}), "result")
    assert str(caught.value).startswith("result is not valid: line?break?[31mxxx")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 400


def test_size_is_looked_at_before_the_content() -> None:
    padding = b" " * (MAX_MESSAGE_BYTES - len(encode(RESULT)))
    assert decode(TrainingResult, encode(RESULT) + padding, "result") == RESULT
    begin = time.process_time()
    with pytest.raises(MessageError, match="result has more than the 1048576 bytes"):
        decode(TrainingResult, b"[" * 200_000_000, "result")
    with pytest.raises(MessageError, match="more than the 1048576"):
        decode(TrainingResult, "é" * (MAX_MESSAGE_BYTES // 2 + 1), "result")
    assert time.process_time() - begin < 0.5


def test_the_largest_message_takes_no_time() -> None:
    keys = ",".join(f'"{number:06x}":1' for number in range(90_000))
    begin = time.process_time()
    with pytest.raises(MessageError, match="is there twice"):
        decode(TrainingResult, f'{{{keys},"015f8f":1}}', "result")
    with pytest.raises(MessageError, match="is not valid"):
        decode(TrainingResult, f"{{{keys}}}", "result")
    assert time.process_time() - begin < 5


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_anything_else_is_a_message_error(data: bytes | str) -> None:
    with pytest.raises(MessageError) as caught:
        decode(WorkOrder, data, "x")
    assert str(caught.value).isprintable()


def test_messages_are_values() -> None:
    assert SPEC.model_copy() == SPEC
    with pytest.raises(ValidationError, match="frozen"):
        SPEC.image_size = 9  # type: ignore[misc]


def test_a_trial_id_never_drifts() -> None:
    """Golden: were these to change, no stored trial would be found again, and every running search would start over.

    A new field with a default changes them too: leave it out of the digest while it has its default.
    """
    assert SPEC.digest() == "3d8eb83a309a38384e920f6c253a0e40025304727e83914c2c026e240e0234fb"
    assert SPEC.trial_id() == "3d8eb83a309a"
    other = TrialSpec(
        net="[C(64,3,1), GAP(10), SM(10)]",
        dataset=DatasetRef(name="svhn", digest="fedcba9876543210"),
        image_size=32,
        model=ModelOptions(activation="elu", batch_norm=True, gap_head="code"),
        recipe=Recipe(epochs=1, optimizer="sgd", learning_rate=0.025, mirror=True, translate=5, seed=2**62),
    )
    assert other.trial_id() == "f80be817c8a3"


def test_trials_of_earlier_releases_keep_their_ids() -> None:
    """Literal requests of release 0.1, each of which lies where its id says."""
    stored = sorted(Path("tests/fixtures/release-0.1/store/runs").glob("*/trials/*/request.json"))
    assert len(stored) > 5
    ids = {path.parent.name: decode(TrainingRequest, path.read_bytes(), path.name).spec.trial_id() for path in stored}
    assert ids == {name: name for name in ids}
    assert {"065c9758bc29", "1fc8129b064b", "2122dac15d69", "226dbbdfcf4c"} <= set(ids)


def test_results_of_earlier_releases_say_what_they_are_worth() -> None:
    old: dict[str, Any] = json.loads(encode(RESULT))
    for name in ("reward", "measured", "measures", "chance", "test_measures", "pictures"):
        del old[name]
    found = decode(TrainingResult, json.dumps(old), "x")
    assert (found.reward, found.measured, found.measures) == (0.9, None, {"accuracy": 0.9})
    stopped = old | {
        "status": "stopped_early",
        "weights": None,
        "prediction": STOPPED.prediction and STOPPED.prediction.model_dump(),
    }
    found = decode(TrainingResult, json.dumps(stopped), "x")
    assert (found.reward, found.measured, found.best_reward) == (0.92, 0.9, 0.9)
    for poison in (
        {"prediction": {"accuracy": "x"}},
        {"prediction": 7},
        {"val_accuracy": "0.9"},
        {"val_accuracy": 1e13},
    ):
        with pytest.raises(MessageError, match="x is not valid"):
            decode(TrainingResult, json.dumps(stopped | poison), "x")
    line = b'{"rate":1,"epoch":2,"learning_rate":0.001,"train_loss":0.5,"val_accuracy":0.25,"seconds":1.5}'
    record = decode(EpochRecord, line, "x")
    assert (record.reward, record.measures, record.val_accuracy) == (0.25, {"accuracy": 0.25}, 0.25)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"reward": 1e13}, "reward"),
        ({"measures": {"Accuracy": 0.5}}, "measures"),
        ({"measures": {"a" * 41: 0.5}}, "measures"),
        ({"measures": {"loss": float("nan")}}, "measures.loss"),
        ({"measures": {f"m{number}": 0.0 for number in range(51)}}, "measures"),
        ({"chance": float("inf")}, "chance"),
        ({"pictures": {"../x": {"size": 1, "sha256": "ab" * 32}}}, "pictures"),
        ({"pictures": {f"p{number}": {"size": 1, "sha256": "ab" * 32} for number in range(21)}}, "pictures"),
    ],
)
def test_measures_and_pictures_have_bounds(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MessageError, match=f"result is not valid: {complaint}"):
        decode(TrainingResult, forged(**changes), "result")


def test_a_line_of_a_history_is_never_longer_than_it_may_be() -> None:
    number = 1.2345678901234567e-38
    record = EpochRecord(
        rate=20,
        epoch=10_000,
        learning_rate=number,
        train_loss=number,
        reward=-number,
        measures={f"a_{name:02d}".ljust(40, "b"): -number for name in range(50)},
        val_accuracy=number,
        seconds=number,
    )
    assert 3000 < len(encode_line(record)) <= MAX_LINE


TABLES: dict[str, Any] = {"dataset": SPEC.dataset, "space": PluginRef(name="tables")}


def test_designs_of_other_families_are_whatever_they_write() -> None:
    text = "wide(64) > deep;  ünlike a net"
    spec = TrialSpec(net=text, **TABLES)
    assert spec.net == text
    assert decode(TrialSpec, encode(spec), "x") == spec
    with pytest.raises(MessageError, match="image_size is missing"):
        spec.images_of()
    for bad in ("", "x" * 4097, "line\nbreak", "\x1b[31m"):
        with pytest.raises(ValidationError, match="1 to 4096 printable characters"):
            TrialSpec(net=bad, **TABLES)


@pytest.mark.parametrize("options", ['{"a": NaN}', '{"a": [1e999]}', '{"a": {"b": -Infinity}}'])
def test_options_that_have_no_text(options: str) -> None:
    with pytest.raises(MessageError, match="x is not valid"):
        decode(PluginRef, f'{{"name": "x", "options": {options}}}', "x")


def test_a_trial_id_is_the_same_in_every_process() -> None:
    program = (
        "import sys; from metaqnn_trainer.contract.codec import decode;"
        "from metaqnn_trainer.contract.messages import TrialSpec;"
        "print(decode(TrialSpec, sys.stdin.buffer.read(), 'x').trial_id())"
    )
    for seed in ("0", "1"):
        process = subprocess.run(
            [sys.executable, "-c", program],
            input=encode(SPEC),
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert process.stdout.decode().strip() == SPEC.trial_id()


@given(nets())
def test_a_spec_holds_the_text_as_it_is(net: Any) -> None:
    """Whoever asks has written the design canonically: what a text means is the space's matter."""
    spec = TrialSpec(net=format_net(net), dataset=SPEC.dataset, image_size=8)
    assert spec.net == format_net(net)
    assert decode(TrialSpec, encode(spec), "x").trial_id() == spec.trial_id()


@pytest.mark.parametrize(
    "other",
    [
        {"net": "[C(64,3,1), P(3,2), SM(10)]"},
        {"dataset": {"name": "mnist"}},
        {"dataset": {"digest": "0123456789abcdee"}},
        {"image_size": 9},
        *({"model": change} for change in ({"activation": "elu"}, {"batch_norm": True}, {"gap_head": "code"})),
        *({"recipe": {name: value}} for name, value in RECIPE_CHANGES.items()),
        {"space": {"name": "tables"}},
        {"space": {"options": {"depth": 3}}},
        {"task": {"name": "regression"}},
        {"task": {"options": {"smoothing": 0.1}}},
        {"plugins": {"metaqnn.layers:capsule": "capsules 0.1.0"}},
        {"initial": INITIAL},
        {"initial": INITIAL | {"sha256": "cd" * 32}},
    ],
    ids=str,
)
def test_whatever_accuracy_depends_on_is_another_trial(other: dict[str, Any]) -> None:
    values = json.loads(encode(SPEC))
    for name, change in other.items():
        values[name] = (values[name] or {}) | change if isinstance(change, dict) else change
    assert decode(TrialSpec, json.dumps(values), "x").trial_id() != SPEC.trial_id()


def test_every_field_of_the_recipe_is_covered_above() -> None:
    assert set(RECIPE_CHANGES) == set(Recipe.model_fields)


def test_a_whole_number_where_a_fraction_may_stand_is_the_same_recipe() -> None:
    assert canonical_json(Recipe(learning_rate=1).model_dump(mode="json")) == canonical_json(
        Recipe(learning_rate=1.0).model_dump(mode="json")
    )


def test_canonical_json() -> None:
    assert canonical_json({"b": [1, 0.1, None], "a": {"é": True}}) == b'{"a":{"\\u00e9":true},"b":[1,0.1,null]}'
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer) == (20, 128, "adam")
    assert (recipe.learning_rate, recipe.learning_rate_decay, recipe.decay_epochs) == (0.001, 0.2, 5)
    assert (recipe.adam_betas, recipe.adam_epsilon, recipe.weight_decay) == ((0.9, 0.999), 1e-8, 5e-4)
    assert recipe.chance_factor / 10 == pytest.approx(0.15)
    assert (recipe.restart_factor, recipe.max_rates) == (0.4, 5)
    assert recipe.dropout == "every_second"
    assert ModelOptions() == ModelOptions(activation="relu", batch_norm=False, gap_head="paper")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 128.0),
        ("optimizer", "rmsprop"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", "0.001"),
        ("adam_betas", (0.9, 1.1)),
        ("adam_betas", (0.9,)),
        ("normalisation", "image"),
        ("mirror", 1),
        ("translate", -1),
        ("crop", 0.0),
        ("rotation", 181.0),
        ("cutout", -1),
        ("brightness", 1.5),
        ("class_weights", "even"),
        ("class_weights", (1.0, 0.0)),
        ("seed", -1),
        ("seed", 2**63),
        ("warmup", 1),
    ],
)
def test_an_impossible_recipe(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Recipe.model_validate({field: value})


LONG = (RatePhase(epochs=40, learning_rate=0.025), RatePhase(epochs=10, learning_rate=0.001))


def test_phases_say_how_many_epochs_there_are() -> None:
    recipe = Recipe(optimizer="sgd", phases=LONG)
    assert recipe.epochs == 50
    assert decode(Recipe, encode(recipe), "x") == recipe
    assert decode(Recipe, b'{"optimizer": "sgd", "phases": [{"epochs": 40, "learning_rate": 0.025}]}', "x").epochs == 40


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"epochs": 20}, "epochs is 20, but the phases have 50 together"),
        ({"learning_rate": 0.1}, "learning_rate may not be set together with phases"),
        ({"learning_rate_decay": 0.1}, "learning_rate_decay may not be set together with phases"),
        ({"decay_epochs": 1}, "decay_epochs may not be set together with phases"),
        ({"phases": 3}, "phases"),
        ({"phases": [{"epochs": 1}]}, "phases.0.learning_rate"),
        ({"phases": [{"epochs": 0, "learning_rate": 0.1}]}, "phases.0.epochs"),
        ({"phases": [{"epochs": 1, "learning_rate": 0}]}, "phases.0.learning_rate"),
        ({"phases": [{"epochs": 10_000, "learning_rate": 0.1}] * 2}, "the phases have 20000 together, of at"),
    ],
)
def test_phases_that_cannot_be(other: dict[str, Any], complaint: str) -> None:
    values = {"phases": [phase.model_dump() for phase in LONG]} | other
    with pytest.raises(MessageError, match=complaint):
        decode(Recipe, json.dumps(values), "x")


@pytest.mark.parametrize("net", ["", "[SM(10)]\n", "[SM(10)]\0", "\x1b[2J", "[" + "C(1,1,1), " * 500 + "SM(10)]"])
def test_the_text_of_a_design_is_one_short_line(net: str) -> None:
    with pytest.raises(MessageError, match=r"^x is not valid: net: ") as caught:
        decode(TrialSpec, json.dumps(json.loads(encode(SPEC)) | {"net": net}), "x")
    assert str(caught.value).isprintable()


def test_exit_codes_stay_clear_of_shells_and_signals() -> None:
    assert [code.value for code in ExitCode] == [0, 11, 12, 13, 14, 15, 16, 17, 18, 143]
    assert all(10 <= code <= 49 for code in ExitCode if code not in (ExitCode.DELIVERED, ExitCode.PREEMPTED))
