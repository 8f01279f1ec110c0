"""Fetches what a trial begins with from its store: the request and the dataset object. Torch is not needed for it."""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedReader

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.contract.errors import MessageError, UnknownField
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.progress import say
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import ObjectMissing
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PATIENCE

Content = bytes | BufferedReader
"""A dataset object: its bytes, or a file that has them, open at any position. Whoever uses the file closes it."""
Opened = Callable[[str], Store]
"""A function that returns the store at an address."""


def patient_store(uri: str, stop: Callable[[], bool] = lambda: False) -> Store:
    """The store at `uri`, with calls that are repeated for some minutes, because the result of a training is worth
    it: for some seconds only once `stop` says that this process was asked to stop.
    """
    return open_store(uri, PATIENCE, say, stop)


def read_request(store: Store, run: str, trial: str) -> TrainingRequest:
    """The request of this trial.

    Raises:
        RequestError: it is missing, cannot be read, or is of another trial.
        UnknownField: a newer release wrote it, and asks for what is not known here.
        StoreError: the store does not answer.
    """
    key = keys.request(run, trial)
    try:
        request = read(TrainingRequest, store.get, key)
    except UnknownField as error:
        raise UnknownField(f"{error}: an older release trains here than the one that asks") from error
    except (ObjectMissing, MessageError) as error:
        raise RequestError(str(error)) from error
    if (request.run, request.trial) != (run, trial):
        raise RequestError(f"{key} is the request of trial {request.trial} in run {request.run}")
    if request.spec.trial_id() != trial:
        raise RequestError(f"{key} is a request for trial {request.spec.trial_id()}, not for {trial}")
    return request


def fetch_dataset(store: Store, ref: DatasetRef, cache: DatasetCache | None = None) -> Content:
    """The dataset object that `ref` names, with the right digest: the file in the cache, where there is one.

    Raises:
        DatasetError: it is missing or damaged.
        StoreError: the store does not answer.
    """
    kept = cache.find(ref) if cache is not None else None
    if kept is not None:
        return kept
    key = keys.dataset(ref.name, ref.digest)
    try:
        data = store.get(key)
    except ObjectMissing as error:
        raise DatasetError(f"the dataset is missing: {error}") from error
    digest = object_digest(data)
    if digest != ref.digest:
        raise DatasetError(f"{key} is damaged: its {len(data)} bytes have the digest {digest}")
    if cache is None:
        return data
    cache.keep(ref, data)
    return cache.find(ref) or data  # the file's pages are shared, and these bytes are not
