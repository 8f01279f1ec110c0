"""The files of a trial, by the names under which `metaqnn-orch pull` saves them: whole ones alone, and none that its
result does not name.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from threading import BoundedSemaphore
from typing import Any, Final

from metaqnn_orch.errors import BadInput, NotFound, ObjectMissing
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.history import LARGEST_PICTURE
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store

_MESSAGES: Final = ("request.json", "result.json")
LARGEST: Final = 1 << 28  # bytes of a file: it is held in memory, because a store gives objects as a whole
_AT_ONCE = BoundedSemaphore(2)  # files in memory


def files_of(store: Store, run: str, trial: str) -> list[dict[str, Any]]:
    """The names and sizes of a trial's files. There are none before it has a result.

    Raises:
        MessageError: the result is damaged.
        StoreError: the store does not answer.
    """
    found: list[dict[str, Any]] = []
    for name in _MESSAGES:
        with suppress(ObjectMissing):
            found.append({"name": name, "size": store.stat(keys.trial(run, trial) + name).size})
    try:
        result = _result(store, run, trial)
    except NotFound:
        return found
    siblings = artifacts.named(result).items()
    return found + [{"name": artifacts.plain_name(kind), "size": artifact.size} for kind, artifact in siblings]


def picture_of(store: Store, run: str, trial: str, name: str) -> bytes:
    """A PNG file that the trial's task made, small enough for a page. Raises as `file_of` does."""
    with _AT_ONCE:
        result = _result(store, run, trial)
        artifact = result.pictures.get(name)
        if artifact is not None and artifact.size > LARGEST_PICTURE:
            raise BadInput(f"picture {name} has {artifact.size:,} bytes, more than a page shows")
        data = _sibling(store, run, trial, result, artifacts.plain_name(artifacts.PICTURE + name))
    return artifacts.checked_picture(name, data)


def file_of(store: Store, run: str, trial: str, name: str) -> bytes:
    """A file of a trial, checked against the digest in its result.

    Raises:
        NotFound: the trial has no such file.
        BadInput: it is too large for a browser.
        MessageError: it is damaged.
        StoreError: the store does not answer.
    """
    with _AT_ONCE:
        if name in _MESSAGES:
            try:
                return store.get(keys.trial(run, trial) + name, ENOUGH_BYTES)
            except ObjectMissing:
                raise NotFound(f"trial {trial} of run {run} has no {name}") from None
        return _sibling(store, run, trial, _result(store, run, trial), name)


def _sibling(store: Store, run: str, trial: str, result: TrainingResult, name: str) -> bytes:
    """A file that the trial's result names."""
    siblings = artifacts.named(result)
    kind = next((kind for kind in siblings if artifacts.plain_name(kind) == name), None)
    if kind is None:
        raise NotFound(f"trial {trial} of run {run} has no file {name!r}")
    artifact = siblings[kind]
    if artifact.size > LARGEST:
        raise BadInput(
            f"{name} has {artifact.size:,} bytes, more than a browser is given",
            hint=next_command(f"pull {run}", store.uri, "--to ./best"),
        )
    key = artifacts.locate(store, run, trial, kind, artifact)
    data = store.get(key, artifact.size + 1)
    if hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise MessageError(f"{key} does not have the sha256 that result.json says")
    return data


def _result(store: Store, run: str, trial: str) -> TrainingResult:
    try:
        return read(TrainingResult, store.get, keys.result(run, trial))
    except ObjectMissing:
        raise NotFound(f"trial {trial} of run {run} has no result") from None
