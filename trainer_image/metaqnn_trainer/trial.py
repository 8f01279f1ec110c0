"""A trial from request to result: what is asked lies in the store, and so will the answer."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch

from metaqnn_trainer import __version__, artifacts
from metaqnn_trainer.checkpoint import Checkpoints
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_COST, MAX_SPEED
from metaqnn_trainer.contract.checks import spec_cost
from metaqnn_trainer.contract.codec import encode, encode_line, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.layers import SM, Cost
from metaqnn_trainer.contract.messages import CLASSIFICATION, CNN, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.notation import parse_net
from metaqnn_trainer.contract.result import Artifact, EpochRecord, ExitCode, TrainingResult
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.course import Training, Weights
from metaqnn_trainer.data import Dataset, DatasetCache
from metaqnn_trainer.device import choose_device, device_name, process_began
from metaqnn_trainer.errors import KNOWN, HostMemoryError, RequestError, Settled, exit_code, in_words
from metaqnn_trainer.estimate import training_memory
from metaqnn_trainer.gpu import THIS_MACHINE, Gpus
from metaqnn_trainer.memory import is_out_of_memory
from metaqnn_trainer.progress import of_trial, say
from metaqnn_trainer.side_by_side import Room
from metaqnn_trainer.stopwatch import Stopwatch
from metaqnn_trainer.store.base import Store, exists
from metaqnn_trainer.store.errors import ObjectMissing, StoreError
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PATIENCE
from metaqnn_trainer.train import train


def patient_store(uri: str) -> Store:
    """The store at `uri`; what was trained is worth some minutes of waiting for it."""
    return open_store(uri, PATIENCE, say)


class Trainer:
    """What outlives a trial in its process: the device, the dataset used last, the store used last. Several threads may
    use it at once, each for a trial of its own."""

    def __init__(
        self,
        threads: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        dataset_cache: Path | None = None,
        gpus: Gpus = THIS_MACHINE,
        opened: Callable[[str], Store] = patient_store,
    ) -> None:
        """`stop` is asked after every step whether to leave the trial, with a checkpoint. `dataset_cache` is a folder
        that keeps datasets beyond this process. `gpus` looks for a GPU, `opened` gives the store at an address."""
        self._gpus = gpus
        self._device = choose_device(threads, gpus)
        self._datasets = DatasetCache(self._device, dataset_cache)
        self._room = Room(self._device, stop)
        self._opened = lru_cache(1)(opened)
        began = process_began()
        # Part of the first trial's time, as it was done for that. How long the process then waits for an order is not.
        self._startup = time.monotonic() - began if began is not None else 0.0

    def carry_out(self, order: WorkOrder) -> WorkReport:
        """Run the trial that `order` names. Whatever happens becomes the report; nothing is raised."""
        with of_trial(order.trial):
            return self._carry_out(order)

    def _carry_out(self, order: WorkOrder) -> WorkReport:
        try:
            begun, self._startup = time.monotonic() - self._startup, 0.0
            store = self._opened(order.store)
            run_trial(store, order, self._datasets, self._device, self._gpus, self._room, begun)
        except KNOWN as error:
            return _failed(order, exit_code(error), in_words(error))
        except Exception as error:
            if failed := self._gpus.failed(error):
                return _failed(order, failed.exit_code, in_words(failed))
            if is_out_of_memory(error):  # outside training, which has an answer for that
                return _failed(order, HostMemoryError.exit_code, in_words(error))
            say(traceback.format_exc())
            return _failed(order, ExitCode.INTERNAL, f"{type(error).__name__}: {in_words(error)}")
        return WorkReport(trial=order.trial, exit_code=ExitCode.DELIVERED)


def _failed(order: WorkOrder, code: ExitCode, reason: str) -> WorkReport:
    return WorkReport(trial=order.trial, exit_code=code, reason=reason)


def run_trial(
    store: Store,
    order: WorkOrder,
    datasets: DatasetCache,
    device: torch.device,
    gpus: Gpus,
    room: Room,
    begun: float,
) -> None:
    """Train what the request of `order` asks for, when there is room for it, and leave result.json, last of all and
    only if none is there.

    An earlier attempt's checkpoint is gone on from, and removed once the result is there.

    `begun` is when the work for this trial began, by time.monotonic: the time limit counts from then, without the wait
    for room.

    Where a result is there already, before training, in its midst or after it, that stays as it is, and nothing of this
    attempt is left.

    Raises:
        RequestError: the request cannot be read, or asks for what cannot be built.
        DeviceError: a GPU was asked for and none is usable.
        DatasetError: the dataset is missing, or is not the one that was asked for.
        StoreError: the store does not answer.
        HostMemoryError: others have the main memory that training needs.
        Preempted: asked to stop.
    """
    started = time.monotonic()
    run, trial, attempt = order.run, order.trial, order.attempt
    request = _read_request(store, run, trial)
    spec, options = request.spec, request.options
    say(f"attempt {attempt}: {spec.net}")
    with closing(Checkpoints(store, run, spec, options.checkpoint_seconds, say)) as checkpoints:
        if exists(store, keys.result(run, trial)):
            say("a result is there already")
        else:
            gpus.check(options.devices, device)
            dataset = datasets.load(store, spec.dataset, spec.images_of(), spec.recipe.normalisation)
            cost, initial = _cost(spec, dataset), _initial(store, spec)
            tell, watch = _teller(spec.recipe.epochs), Stopwatch(begun)
            try:
                training = room.host(
                    training_memory(spec, dataset.shape, spec.recipe.batch_size).total,
                    lambda memory, stop: train(
                        spec, dataset, tell, options, checkpoints, stop, memory, initial, watch.seconds
                    ),
                    watch.stopped,
                )
                _deliver(store, request, attempt, training, cost, device, begun, started)
            except Settled as error:
                say(str(error))
        checkpoints.remove()


def _deliver(
    store: Store,
    request: TrainingRequest,
    attempt: int,
    training: Training,
    cost: Cost,
    device: torch.device,
    begun: float,
    started: float,
) -> None:
    run, trial, spec = request.run, request.trial, request.spec
    siblings: dict[artifacts.Kind, Artifact] = {}
    if training.records:
        history = b"".join(encode_line(record) for record in training.records)
        siblings["history"] = artifacts.put(store, run, trial, "history", history)
    if training.weights:
        siblings["weights"] = artifacts.put(store, run, trial, "weights", _weights_file(training.weights, spec))
    result = result_of(request, attempt, training, cost, device, begun, started, siblings)
    if store.put_if_absent(keys.result(run, trial), encode(result)):
        say(f"{result.status}, validation accuracy {result.reward:.4f}, {result.seconds:.1f} s")
    else:
        _give_way(store, run, trial, siblings)


def result_of(
    request: TrainingRequest,
    attempt: int,
    training: Training,
    cost: Cost,
    device: torch.device,
    begun: float,
    started: float,
    siblings: Mapping[artifacts.Kind, Artifact],
) -> TrainingResult:
    """What there is to say of `training`. `begun` and `started`, by time.monotonic, are when the work for the trial
    began and when its request was read."""
    foretold = training.prediction
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
        val_accuracy=training.reward,
        best_epoch=training.best_epoch,
        last_val_accuracy=training.last_reward,
        prediction=foretold,
        test_measures=training.test_measures,
        test_accuracy=training.test_measures.get("accuracy"),
        epochs=training.epochs,
        learning_rates=training.learning_rates,
        params=cost.params,
        macs=cost.macs,
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
    )


def _give_way(store: Store, run: str, trial: str, siblings: Mapping[artifacts.Kind, Artifact]) -> None:
    """Another attempt was first: remove of ours what its result does not name, too."""
    say("another attempt has delivered the result meanwhile")
    try:
        first = read(TrainingResult, store.get, keys.result(run, trial))
        for kind, artifact in siblings.items():
            if artifact != artifacts.named(first).get(kind):
                artifacts.remove(store, run, trial, kind, artifact)
    except (StoreError, MessageError) as error:
        say(f"what this attempt wrote stays: {error}")


def _read_request(store: Store, run: str, trial: str) -> TrainingRequest:
    key = keys.request(run, trial)
    try:
        request = read(TrainingRequest, store.get, key)
    except (ObjectMissing, MessageError) as error:
        raise RequestError(str(error)) from error
    if (request.run, request.trial) != (run, trial):
        raise RequestError(f"{key} is the request of trial {request.trial} in run {request.run}")
    if request.spec.trial_id() != trial:
        raise RequestError(f"{key}: what it asks for is not trial {trial} but {request.spec.trial_id()}")
    for what, asked, known in (("task", request.spec.task, CLASSIFICATION), ("space", request.spec.space, CNN)):
        if asked.name != known.name:
            raise RequestError(f"{key} asks for the {what} {asked.name}, which this trainer does not know")
    return request


def _cost(spec: TrialSpec, dataset: Dataset) -> Cost:
    *_, last = parse_net(spec.net)
    if not isinstance(last, SM) or last.classes != dataset.info.classes:
        raise RequestError(f"{spec.net} does not end in the {dataset.info.classes} classes of {dataset.info.name}")
    try:
        cost = spec_cost(spec, dataset.info.images().channels)
    except MessageError as error:
        raise RequestError(str(error)) from error
    if max(cost) > MAX_COST:
        raise RequestError(f"{spec.net} has {cost.params} parameters and {cost.macs} multiply-accumulates: too many")
    return cost


def _initial(store: Store, spec: TrialSpec) -> Weights | None:
    """The weights to begin with, if any are asked for and they are the ones that were meant."""
    wanted = spec.initial
    if wanted is None:
        return None
    try:
        return safetensors.torch.load(artifacts.read(store, wanted.run, wanted.trial, "weights", wanted))
    except MessageError as error:
        raise RequestError(f"the weights to begin with: {error}") from error


def _weights_file(weights: Weights, spec: TrialSpec) -> bytes:
    # One entry of metadata and no more: safetensors writes several in no fixed order.
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    return safetensors.torch.save(contiguous, metadata={"net": spec.net})


def _versions() -> dict[str, str]:
    return {"metaqnn-orch": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


def _teller(epochs: int) -> Callable[[EpochRecord], None]:
    def tell(record: EpochRecord) -> None:
        loss = "not finite" if record.train_loss is None else f"{record.train_loss:.4f}"
        say(
            f"rate {record.learning_rate:.3g}, epoch {record.epoch}/{epochs}: loss {loss}, "
            f"validation accuracy {record.reward:.4f}, {record.seconds:.1f} s"
        )

    return tell
