"""Reads from a store for a trial: its dataset object, and whatever else its task needs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.dataset import HEADER_BYTES, DatasetInfo, object_digest, read_info
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec, WeightsRef
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.progress import say
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


def parse_object(data: bytes, what: str) -> DatasetObject:
    """Parse a dataset object's bytes; `what` names them in errors.

    Raises:
        DatasetError: they are none.
    """
    try:
        info = read_info(data[: HEADER_BYTES + 8], what)
        return DatasetObject(info, Tensors(what, safetensors.torch.load(data)))
    except (MessageError, SafetensorError) as error:
        raise DatasetError(f"{what}: {error}") from error


class Reader:
    """Reads from a store."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        """`folder` keeps datasets for other trainers, too, if it is on a volume that several machines share."""
        self._store = store
        self._folder = folder

    def dataset(self, ref: DatasetRef) -> DatasetObject:
        """The dataset object that `ref` names, in main memory.

        Raises:
            DatasetError: it is missing, or is not what `ref` says.
            StoreError: the store does not answer.
        """
        key = keys.dataset(ref.name, ref.digest)
        file = self._folder / Path(key).name if self._folder is not None else None
        kept = _kept(file, ref.digest) if file is not None else None
        if kept is not None:
            return parse_object(kept, key)
        try:
            data = self._store.get(key)
        except ObjectMissing as error:
            raise DatasetError(f"the dataset is missing: {error}") from error
        digest = object_digest(data)
        if digest != ref.digest:
            raise DatasetError(f"{key} is damaged: its {len(data)} bytes have the digest {digest}")
        if file is not None:
            _keep(file, data)
        return parse_object(data, key)

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


def _kept(file: Path, digest: str) -> bytes | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    return data if object_digest(data) == digest else None


def _keep(file: Path, data: bytes) -> None:
    """Write the file completely or not at all, also where several trainers write it; a read-only folder is no error."""
    aside = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    try:
        aside.write_bytes(data)
        aside.replace(file)
    except OSError as error:
        say(f"the dataset could not be cached for later trainers: {error}")
        with suppress(OSError):
            aside.unlink()
