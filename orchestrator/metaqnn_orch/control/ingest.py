"""Reads result bytes: either they can be trusted, and the trial is told, or there is a reason to refuse them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from typing import Final, NamedTuple

from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.events import Told
from metaqnn_orch.control.objective import MeasureMissing, Objective, measures_of
from metaqnn_orch.errors import ObjectMissing
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, decode
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import MessageError, NotationError, ShapeError
from metaqnn_trainer.contract.messages import TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, TrainingResult
from metaqnn_trainer.spaces.base import Cost, space_of
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.store.base import Store

MAX_CURVE: Final = 1000  # epochs, about 20 KB: what is read with every journal, thousands of times


class Trusted(NamedTuple):
    """A trusted result, what the searcher is told of it, and the rewards of the epochs that counted, where the history
    was kept.
    """

    result: TrainingResult
    reward: float
    curve: tuple[float, ...]

    def told(self, at: str, attempt: int, *, whole_curve: bool) -> Told:
        """The event. A curve of more than MAX_CURVE epochs is in it only with `whole_curve`."""
        result = self.result
        return Told(
            at=at,
            trial=result.trial,
            attempt=attempt,
            status=result.status,
            reward=self.reward,
            measures=measures_of(result),
            params=result.params,
            macs=result.macs,
            seconds=result.seconds,
            images_per_second=result.images_per_second,
            device=result.device,
            measured=result.measured,
            prediction=result.prediction,
            curve=self.curve if whole_curve or len(self.curve) <= MAX_CURVE else (),
        )


class Refused(NamedTuple):
    """Bytes that are no valid result of this trial, and the reason. Only the first bytes are kept where there are very
    many.
    """

    reason: str
    data: bytes
    lacks_measure: bool = False
    """Whether all that is wrong is that the objective needs a measure that the result does not have."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


Asked = tuple[TrainingRequest, float | None]
"""The request whose result is looked for, and the longest time in seconds that the trial can have taken, where it is
known.
"""


def read_results(
    store: Store, info: DatasetInfo, asked: Sequence[Asked], objective: Objective
) -> list[Trusted | Refused | None]:
    """Read the results of several trials in parallel, each as `read_result` does.

    Raises:
        StoreError: the store did not answer.
    """
    return each(lambda one: read_result(store, info, one[0], objective, longest=one[1]), asked)


def read_result(
    store: Store,
    info: DatasetInfo,
    request: TrainingRequest,
    objective: Objective,
    *,
    longest: float | None = None,
) -> Trusted | Refused | None:
    """The trial's result, if there is one that can be trusted: its schema, identity, numbers and sibling files are
    consistent.

    Weights and pictures exist and have the right size; their bytes are checked when a command uses them. `longest`: the
    longest time in seconds that the trial can have taken.

    Raises:
        StoreError: the store did not answer.
    """
    key = keys.result(request.run, request.trial)
    try:
        data = store.get(key, ENOUGH_BYTES)
    except ObjectMissing:
        return None
    try:
        result = decode(TrainingResult, data, key)
        _check_identity(result, request)
        check_result(result, request.spec, _cost(request.spec, info), info.classes)
        if longest is not None and result.seconds > longest:
            raise MessageError(
                f"result.json says that it took {result.seconds:g} s, but its trial began at most {longest:g} s ago"
            )
        for kind, artifact in artifacts.named(result).items():
            if kind != "history":
                artifacts.locate(store, request.run, request.trial, kind, artifact)
        history = b""
        if result.history is not None:
            history = artifacts.read(store, request.run, request.trial, "history", result.history)
        return Trusted(result, objective.reward(request.spec.net, result), _curve(history, result))
    except MessageError as error:
        return Refused(str(error), data, isinstance(error, MeasureMissing))


def quarantine(store: Store, request: TrainingRequest, attempt: int, refused: Refused) -> None:
    """Keep the refused bytes for people, and remove them from where another attempt writes."""
    store.put(keys.quarantine(request.run, request.trial, attempt), refused.data)
    store.delete(keys.result(request.run, request.trial))


def _cost(spec: TrialSpec, info: DatasetInfo) -> Cost:
    """The design's cost, computed by its space.

    Raises:
        MessageError: it cannot be built for this dataset.
    """
    try:
        space = space_of(spec)
        return spec_cost(spec, info.images().channels) if space is None else space.cost(spec.net)
    except (NotationError, ShapeError) as error:
        raise MessageError(f"{spec.net} cannot be built: {error}") from error


def _check_identity(result: TrainingResult, request: TrainingRequest) -> None:
    for name, found, wanted in (
        ("run", result.run, request.run),
        ("trial", result.trial, request.trial),
        ("spec_digest", result.spec_digest, request.spec.digest()),
    ):
        if found != wanted:
            raise MessageError(f"result.json is of another {name}: {found}, not {wanted}")


def _curve(history: bytes, result: TrainingResult) -> tuple[float, ...]:
    records = [
        decode(EpochRecord, line, f"line {number} of history.jsonl") for number, line in enumerate(BytesIO(history), 1)
    ]
    if not records or not result.best_epoch:
        return ()
    counted = [record for record in records if record.rate == records[-1].rate and record.train_loss is not None]
    curve = tuple(record.reward for record in counted)
    epochs = [record.epoch for record in counted]
    if epochs != [*range(1, result.epochs + 1)] or max(curve, default=None) != result.best_reward:
        raise MessageError("history.jsonl and result.json disagree about the epochs")
    return curve
