"""Trainers that keep a history, and stop nets early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import canonical_json, decode, encode_line
from metaqnn_trainer.contract.messages import LearningCurve, QuarterRule, TrainingRequest, quarter
from metaqnn_trainer.contract.result import EpochRecord, Prediction
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.training.early_end import stopped
from tests.control.world import accuracy_of, settings, values_for

EPOCHS, NETS, EXAMPLES = 4, 32, 20


def enabled(rule: str = "prediction", **overrides: object) -> Settings:
    early_end = {"enabled": True, "rule": rule, "examples": EXAMPLES}
    return settings(
        **{
            "recipe__epochs": EPOCHS,
            "schedule__phases": [{"epsilon": 1.0, "unique": NETS}],
            "execution__early_end": early_end,
            **overrides,
        }
    )


def curve_of(net: str) -> list[float]:
    return [accuracy_of(net) * share for share in (0.5, 0.8, 0.9, 1.0)]


def history(curve: Sequence[float], rate: int = 1) -> bytes:
    """A first rate that did not learn, where there was one, and the epochs of the last."""
    failed = [(earlier, 1, 0.1) for earlier in range(1, rate)]
    lines = [*failed, *((rate, epoch, accuracy) for epoch, accuracy in enumerate(curve, 1))]
    return b"".join(
        encode_line(
            EpochRecord(rate=r, epoch=e, learning_rate=0.1, train_loss=1.0, reward=a, val_accuracy=a, seconds=1.0)
        )
        for r, e, a in lines
    )


def put_result(store: Store, request: TrainingRequest, attempt: int, written: bytes, **changes: Any) -> Phase:
    artifact = artifacts.put(store, request.run, request.trial, "history", written)
    values = values_for(request, attempt, history=artifact.model_dump(), **changes)
    store.put_if_absent(keys.result(request.run, request.trial), canonical_json(values))
    return Phase.DELIVERED


def asked(store: Store, trial: str) -> TrainingRequest:
    return decode(TrainingRequest, store.get(keys.request("test", trial)), "request")


def trained(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    """A trainer that foresees what will not beat the best, and stops it after its second epoch; after a quarter of them
    it does what a real one does.
    """
    rule, curve = asked(store, request.trial).options.early_end, curve_of(request.spec.net)
    prediction, done = None, 2
    if isinstance(rule, QuarterRule):
        done = quarter(EPOCHS)
        begun = LearningCurve(params=0, macs=0, layers=1, accuracies=tuple(curve[:done]))
        prediction = stopped(rule, begun, EPOCHS)
    elif rule is not None and curve[-1] < rule.best:
        prediction = Prediction(accuracy=curve[-1], spread=0.02, best=rule.best)
    if prediction is None:
        return put_result(store, request, attempt, history(curve, rate=2), best_epoch=EPOCHS, epochs=EPOCHS)
    said = prediction.model_dump()
    changes = {"status": "stopped_early", "val_accuracy": curve[done - 1], "prediction": said}
    return put_result(store, request, attempt, history(curve[:done]), best_epoch=done, epochs=done, **changes)
