"""Reads from a store for a trial: its dataset object, and whatever else its task needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.dataset import HEADER_BYTES, DatasetInfo, read_info
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec, WeightsRef
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.fetching import Content, fetch_dataset
from metaqnn_trainer.start_up import Ahead
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import ObjectMissing


class Tensors(dict[str, Tensor]):
    """Tensors by name. An error about a missing one names `what` contains them."""

    def __init__(self, what: str, tensors: dict[str, Tensor]) -> None:
        super().__init__(tensors)
        self.what = what

    def __missing__(self, name: str) -> Tensor:
        raise DatasetError(f"{self.what} has no tensor {name}")


class DatasetObject(NamedTuple):
    """A dataset, as it is stored."""

    info: DatasetInfo
    tensors: Tensors

    def to(self, device: torch.device) -> DatasetObject:
        """The dataset with all tensors on `device`."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return self._replace(tensors=Tensors(self.tensors.what, moved))


def parse_object(content: Content, what: str) -> DatasetObject:
    """Parse a dataset object; `what` names it in errors. The tensors of a file stay in the file, which is mapped and
    then closed: processes that read the same file share its pages, as long as they do not write to the tensors.

    Raises:
        DatasetError: it is none.
    """
    try:
        if isinstance(content, bytes):
            return DatasetObject(
                read_info(content[: HEADER_BYTES + 8], what), Tensors(what, safetensors.torch.load(content))
            )
        with content:
            info = read_info(os.pread(content.fileno(), HEADER_BYTES + 8, 0), what)
            try:  # the open file itself: another one may have its name by now
                tensors = safetensors.torch.load_file(f"/dev/fd/{content.fileno()}")
            except OSError:  # not every file system can map files
                content.seek(0)
                tensors = safetensors.torch.load(content.read())
            return DatasetObject(info, Tensors(what, tensors))
    except (MessageError, SafetensorError) as error:
        raise DatasetError(f"{what}: {error}") from error


class Reader:
    """Reads from a store."""

    def __init__(self, store: Store, cache: DatasetCache | None = None, ahead: Ahead | None = None) -> None:
        """`cache` keeps datasets for other trainers, too. `ahead` has begun to read."""
        self._store = store
        self._cache = cache
        self._ahead = ahead or Ahead()

    def dataset(self, ref: DatasetRef) -> DatasetObject:
        """The dataset object that `ref` names, in main memory or mapped from the cache.

        Raises:
            DatasetError: it is missing, or is not what `ref` says.
            StoreError: the store does not answer.
        """
        content = self._ahead.get(ref, partial(fetch_dataset, self._store, ref, self._cache))
        return parse_object(content, keys.dataset(ref.name, ref.digest))

    def weights(self, ref: WeightsRef) -> dict[str, Tensor]:
        """The weights of a trial of any run of this store.

        Raises:
            RequestError: they are missing, or are other weights.
            StoreError: the store does not answer.
        """
        try:
            return safetensors.torch.load(artifacts.read(self._store, ref.run, ref.trial, "weights", ref))
        except MessageError as error:
            raise RequestError(f"weights of trial {ref.trial} of run {ref.run}: {error}") from error

    def spec(self, run: str, trial: str) -> TrialSpec:
        """The specification of a trial of any run of this store.

        Raises:
            RequestError: it is not there.
            StoreError: the store does not answer.
        """
        try:
            return read(TrainingRequest, self._store.get, keys.request(run, trial)).spec
        except (ObjectMissing, MessageError) as error:
            raise RequestError(f"trial {trial} of run {run}: {error}") from error

    def object(self, key: str) -> bytes:
        """Any object of the store.

        Raises:
            DatasetError: it is not there.
            StoreError: the store does not answer.
        """
        try:
            return self._store.get(key)
        except ObjectMissing as error:
            raise DatasetError(str(error)) from error


class Loaded:
    """Keeps the data that was used last, ready on the device: a worker that trains many nets on one dataset reads it
    once.
    """

    def __init__(self) -> None:
        self._last: tuple[Hashable, Any] | None = None

    def get(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The result of `load`; if the last call had the same `key`, the result of that call."""
        if self._last is None or self._last[0] != key:
            self._last = None  # two large datasets may not fit into memory together
            self._last = (key, load())
        return self._last[1]
