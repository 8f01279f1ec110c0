"""Dataset objects in a store: finding them, and having the trainer make one on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NotRequired, TypedDict

from metaqnn_orch.application.trainer_call import TRAINER, TrainerAnswer, call
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import BadInput, NotFound, SettingsError
from metaqnn_orch.settings.following import Look, Looked, built_in
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import HEADER_BYTES, DatasetInfo, read_info, ref_of_key
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.store.base import Store

BY_SETTING: Final = "choose one: --set dataset.digest={digest}, or dataset.digest in the settings file"
BY_NAME: Final = "choose one by its name and digest: {name}-{digest}"

_WITH_DIGEST: Final = re.compile(r"(?P<name>.+)-(?P<digest>[0-9a-f]{16})")


class DatasetRow(TypedDict):
    """A dataset of a store."""

    name: str
    """Name of the dataset."""
    digest: str
    """The first 16 hexadecimal digits of the sha256 of the whole object."""
    classes: int | None
    """Number of classes, where the dataset has classes."""
    channels: int | None
    """Number of channels, where it has images."""
    image_size: int | None
    """Width and height in pixels, where it has images."""
    train: int
    """Number of examples for training."""
    validation: int
    """Number of examples for validation."""
    test: int
    """Number of examples for testing."""
    bytes: int
    """Size of the object."""
    facts: NotRequired[dict[str, Any]]
    """Further facts that the task needs, where there are any."""


def described(store: Store, ref: DatasetRef, size: int) -> DatasetRow:
    """The fields of a dataset in `metaqnn-orch dataset list -o json`. Raises as `info` does."""
    found = info(store, ref)
    row: DatasetRow = {
        "name": found.name,
        "digest": ref.digest,
        "classes": found.classes,
        "channels": found.channels,
        "image_size": found.image_size,
        "train": found.train,
        "validation": found.validation,
        "test": found.test,
        "bytes": size,
    }
    if found.facts:
        row["facts"] = dict(found.facts)
    return row


def all_refs(store: Store, name: str = "") -> list[tuple[DatasetRef, int]]:
    """Every dataset object, or every one of this name, with its size in bytes."""
    found = [(ref_of_key(entry.key), entry.size) for entry in store.list(keys.datasets(name))]
    return [(ref, size) for ref, size in found if ref is not None and name in ("", ref.name)]


def info(store: Store, ref: DatasetRef) -> DatasetInfo:
    """What the dataset object says of itself.

    Raises:
        MessageError: the object is not a dataset.
    """
    key = keys.dataset(ref.name, ref.digest)
    return read_info(store.get(key, first=HEADER_BYTES), f"{store.uri}: {key}")


def find(store: Store, name: str, digest: str | None = None, choose: str = BY_SETTING) -> DatasetRef | None:
    """The one dataset of this name, and of this digest where one is given; None where there is none. `choose` says how
    one of several is named.

    Raises:
        BadInput: there are several.
    """
    refs = [ref for ref, _ in all_refs(store, name) if digest in (None, ref.digest)]
    if len(refs) > 1:
        digests = ", ".join(ref.digest for ref in refs)
        raise BadInput(
            f"{store.uri} has {len(refs)} datasets named {name}: {digests}",
            hint=choose.format(name=name, digest=refs[0].digest),
        )
    return refs[0] if refs else None


def named(store: Store, text: str) -> DatasetRef | None:
    """The dataset that a person names where there are no settings: NAME, or NAME-DIGEST where the store has several of
    that name. None where there is none.

    Raises:
        BadInput: there are several.
    """
    found = find(store, text, choose=BY_NAME)
    if found is None and (parts := _WITH_DIGEST.fullmatch(text)):
        found = find(store, parts["name"], parts["digest"])
    return found


def name_in(text: str) -> str:
    """The name in NAME or NAME-DIGEST."""
    parts = _WITH_DIGEST.fullmatch(text)
    return parts["name"] if parts else text


def facts(opened: Callable[[], Store], run: str | None = None) -> Look:
    """Looks a dataset up: among the built-in ones, then in the run of that name, if it exists, and in the store.
    `opened` opens the store, which is done only where it is needed.
    """

    def look(name: str, digest: str | None) -> Looked | None:
        if (known := built_in(name)) is not None:
            return known
        store = opened()
        found = _of_run(store, run, name, digest) if run is not None else None
        if found is None and (ref := find(store, name, digest)) is not None:
            found = ref, info(store, ref)
        if found is None:
            return None
        ref, what = found
        return Looked(f"dataset {ref.name}-{ref.digest}", what)

    return look


def _of_run(store: Store, run: str, name: str, digest: str | None) -> tuple[DatasetRef, DatasetInfo] | None:
    try:
        record = load_record(store, run)
    except NotFound:
        return None
    is_it = record.dataset.name == name and digest in (None, record.dataset.digest)
    return (record.dataset, record.info) if is_it and not record.is_open else None


def check_fit(settings: Settings, info: DatasetInfo) -> None:
    """Check that the space is one of nets for this dataset.

    Raises:
        SettingsError: a setting contradicts the dataset.
    """
    for key, (wanted, found) in settings.state_space().mismatches(info).items():
        if found is None:
            raise SettingsError(f"{key} is {wanted}, but dataset {info.name} has none: it is of another kind")
        raise SettingsError(f"{key} is {wanted}, but in dataset {info.name} it is {found}", hint=f"--set {key}={found}")


def push(
    store: Store,
    name: str,
    options: Sequence[str] = (),
    *,
    report: Callable[[str], None],
    trainer: Sequence[str] = TRAINER,
) -> DatasetRef:
    """Have the trainer make the dataset object, in a process of its own on this machine: only the trainer imports
    torch. `options` are those of `python -m metaqnn_trainer dataset`; `report` gets its progress, a line at a time.

    Raises:
        NotFound: it could not be made; the trainer's words say why.
        StoreError: the store does not answer, or the trainer could not write it there.
        LauncherError: there is no trainer on this machine, or it failed.
    """
    keys.check_name("dataset", name)
    all_refs(store, name)  # a store that does not answer is reported now, and not when everything is made
    answer = call(["dataset", name, "--store", store.uri, *options], report, trainer)
    return made(name, answer)


def made(name: str, answer: TrainerAnswer) -> DatasetRef:
    """The dataset that the trainer made, in a process on this machine or in a Pod.

    Raises:
        NotFound, StoreError, LauncherError: as `push` says.
    """
    ref = _ref_in(answer.data) if answer.code == ExitCode.DELIVERED else None
    if ref is not None:
        return ref
    if answer.code in (ExitCode.DATASET, ExitCode.BAD_REQUEST, ExitCode.UNEQUIPPED):
        raise NotFound(f"dataset {name} could not be made: {answer.last_words}")
    raise answer.error(f"making dataset {name}")


def _ref_in(answer: bytes) -> DatasetRef | None:
    """The dataset that the last line of the trainer's answer names; a log holds other lines, too."""
    for line in reversed(answer.splitlines()):
        with suppress(ValueError, LookupError, TypeError):
            found = json.loads(line)
            return DatasetRef(name=found["name"], digest=found["digest"])
    return None
