"""Delivers the outcome of a trial: history, weights, pictures, and its result."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from typing import Final

import safetensors.torch
import torch

from metaqnn_trainer import __version__, artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_SPEED
from metaqnn_trainer.contract.codec import encode, encode_line, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import Artifact, EpochRecord, TrainingResult
from metaqnn_trainer.progress import say
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import StoreError
from metaqnn_trainer.training.device import device_name
from metaqnn_trainer.training.outcome import Training, Weights

_NAMES: Final = {"accuracy": "validation accuracy"}


def deliver(
    store: Store,
    request: TrainingRequest,
    attempt: int,
    training: Training,
    cost: tuple[int, int],
    device: torch.device,
    begun: float,
    started: float,
) -> None:
    """Write the outcome of `training` beside the request: the siblings first, and result.json last, only if there is
    none; then remove what this attempt does not need any more. `begun` and `started` are those of `result_of`.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    run, trial, spec = request.run, request.trial, request.spec
    siblings: dict[artifacts.Kind, Artifact] = {}
    if training.records:
        history = b"".join(encode_line(record) for record in training.records)
        siblings["history"] = artifacts.put(store, run, trial, "history", history)
    if training.weights:
        siblings["weights"] = artifacts.put(store, run, trial, "weights", _weights_file(training.weights, spec))
    for name, picture in training.pictures.items():
        kind = artifacts.PICTURE + name
        siblings[kind] = artifacts.put(store, run, trial, kind, picture)
    result = result_of(request, attempt, training, cost, device, begun, started, siblings)
    if store.put_if_absent(keys.result(run, trial), encode(result)):
        say(f"{result.status}, {in_words(training.measure, result.reward)}, {result.seconds:.1f} s")
    else:
        _give_way(store, run, trial, siblings)


def result_of(
    request: TrainingRequest,
    attempt: int,
    training: Training,
    cost: tuple[int, int],
    device: torch.device,
    begun: float,
    started: float,
    siblings: Mapping[artifacts.Kind, Artifact],
) -> TrainingResult:
    """The result of `training`. `begun` and `started`, by time.monotonic, are when the work for the trial began and
    when its request was read.
    """
    foretold, accuracy = training.prediction, training.measure == "accuracy"
    return TrainingResult(
        run=request.run,
        trial=request.trial,
        spec_digest=request.spec.digest(),
        attempt=attempt,
        status=training.status,
        reason=training.reason,
        reward=foretold.reward(training.reward) if foretold is not None else training.reward,
        measured=training.reward if foretold is not None else None,
        measures=training.measures,
        chance=training.chance,
        val_accuracy=training.reward if accuracy else None,
        best_epoch=training.best_epoch,
        last_val_accuracy=training.last_reward if accuracy else None,
        prediction=foretold,
        test_measures=training.test_measures,
        test_accuracy=training.test_measures.get("accuracy") if accuracy else None,
        epochs=training.epochs,
        learning_rates=training.learning_rates,
        params=cost[0],
        macs=cost[1],
        images_per_second=min(training.images / training.seconds, MAX_SPEED) if training.seconds else 0.0,
        seconds=time.monotonic() - started,
        startup_seconds=training.first_step and training.first_step - begun,
        closing_seconds=training.last_step and time.monotonic() - training.last_step,
        resumed_from=training.resumed_from,
        estimated_memory=training.estimated_memory,
        peak_memory=training.peak_memory,
        micro_batch=training.micro_batch,
        device=device_name(device),
        versions=_versions(),
        history=siblings.get("history"),
        weights=siblings.get("weights"),
        pictures={
            kind.removeprefix(artifacts.PICTURE): artifact
            for kind, artifact in siblings.items()
            if kind.startswith(artifacts.PICTURE)
        },
    )


def _give_way(store: Store, run: str, trial: str, siblings: Mapping[artifacts.Kind, Artifact]) -> None:
    """Another attempt delivered first: remove this attempt's siblings, except those that the other's result names,
    too.
    """
    say("another attempt has delivered the result meanwhile")
    try:
        first = read(TrainingResult, store.get, keys.result(run, trial))
        for kind, artifact in siblings.items():
            if artifact != artifacts.named(first).get(kind):
                artifacts.remove(store, run, trial, kind, artifact)
    except (StoreError, MessageError) as error:
        say(f"the files of this attempt could not be removed: {error}")


def _weights_file(weights: Weights, spec: TrialSpec) -> bytes:
    # Exactly one entry of metadata, because safetensors writes several in no fixed order.
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    return safetensors.torch.save(contiguous, metadata={"net": spec.net})


def _versions() -> dict[str, str]:
    return {"metaqnn-orch": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


def in_words(measure: str, reward: float) -> str:
    """A reward in words, with the name of its measure."""
    return f"{_NAMES.get(measure, measure or 'reward')} {reward:.4f}"


def teller(measure: str, epochs: int) -> Callable[[EpochRecord], None]:
    """A function that prints the progress of each epoch."""

    def tell(record: EpochRecord) -> None:
        loss = "not finite" if record.train_loss is None else f"{record.train_loss:.4f}"
        say(
            f"rate {record.learning_rate:.3g}, epoch {record.epoch}/{epochs}: loss {loss}, "
            f"{in_words(measure, record.reward)}, {record.seconds:.1f} s"
        )

    return tell
