"""Result bytes to a told trial, or a reason for refusing them. A result is foreign data until it has passed here."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from metaqnn_orch.errors import ObjectMissing
from metaqnn_orch.store.base import Store
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import Artifact, TrainingRequest, TrainingResult, decode


class Refused(NamedTuple):
    """Bytes that are no result of this trial, and why."""

    reason: str
    data: bytes


def read_result(store: Store, request: TrainingRequest) -> TrainingResult | Refused | None:
    """The trial's result, if there is one that can be trusted: schema, identity, and siblings whole.

    Raises:
        StoreError: the store did not answer.
    """
    key = keys.result(request.run, request.trial)
    try:
        data = store.get(key)
    except ObjectMissing:
        return None
    try:
        result = decode(TrainingResult, data, key)
        _check_identity(result, request)
        _check_artifact(store, keys.weights(request.run, request.trial), result.weights)
        _check_artifact(store, keys.history(request.run, request.trial), result.history)
    except MessageError as error:
        return Refused(str(error), data)
    return result


def quarantine(store: Store, request: TrainingRequest, attempt: int, refused: Refused) -> None:
    """Keep the refused bytes for people, and clear the way for another attempt."""
    store.put(keys.quarantine(request.run, request.trial, attempt), refused.data)
    store.delete(keys.result(request.run, request.trial))


def _check_identity(result: TrainingResult, request: TrainingRequest) -> None:
    for name, found, wanted in (
        ("run", result.run, request.run),
        ("trial", result.trial, request.trial),
        ("spec_digest", result.spec_digest, request.spec.digest()),
    ):
        if found != wanted:
            raise MessageError(f"result.json is of another {name}: {found}, not {wanted}")
    if result.status == "completed" and result.best_epoch < 1:
        raise MessageError("result.json says completed, but no epoch counts")


def _check_artifact(store: Store, key: str, artifact: Artifact | None) -> None:
    if artifact is None:
        return
    try:
        data = store.get(key)
    except ObjectMissing:
        raise MessageError(f"result.json names {key}, which is not there") from None
    if len(data) != artifact.size:
        raise MessageError(f"{key} has {len(data)} bytes where result.json says {artifact.size}")
    if hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise MessageError(f"{key} is not the object whose sha256 result.json carries")
