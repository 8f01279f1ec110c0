"""A run whose task is not classification: measures without accuracy, and rewards that are negative."""

from __future__ import annotations

from typing import Any

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import first_rates
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store
from tests.control.world import Session, accuracy_of, settings, values_for

CHANCE = -100.0


def regression(**overrides: object) -> Settings:
    return settings(task={"name": "regression"}, **overrides)


def error_of(net: str) -> float:
    """Mean absolute error: the reward is its negative."""
    return 50 * accuracy_of(net)


def trained(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    error = error_of(request.spec.net)
    return put(store, request, attempt, reward=-error, measures={"mae": error, "state": 1.0})


def untrainable(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    tried = {"epochs": 1, "best_epoch": 0, "learning_rates": first_rates(request.spec.recipe)}
    return put(store, request, attempt, status="untrainable", reward=CHANCE, **tried)


def put(store: Store, request: TrainingRequest, attempt: int, **changes: Any) -> Phase:
    values = values_for(request, attempt, chance=CHANCE, **changes)
    del values["val_accuracy"], values["last_val_accuracy"]
    result = TrainingResult.model_validate(values)
    store.put_if_absent(keys.result(request.run, request.trial), encode(result))
    return Phase.DELIVERED


def first_untrainable(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    """The first net learns nothing, all others something."""
    results = [entry for entry in store.list(keys.trials(request.run)) if entry.key.endswith("/result.json")]
    return (trained if results else untrainable)(store, request, attempt)


def write_regression(store: Store, **overrides: object) -> RunView:
    """Twelve nets, the first of which learned nothing."""
    Session(store, regression(**overrides)).run_to_end(first_untrainable, parallel=1)
    return read_run(store, "test")
