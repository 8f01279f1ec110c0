"""doctor's part about the dataset: whether it is there, and whether the space is one of nets for it."""

from __future__ import annotations

from collections.abc import Iterator

from metaqnn_orch.application import datasets
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark
from metaqnn_orch.errors import BadInput
from metaqnn_orch.next_command import next_command
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import StoreError


def examine_dataset(store: Store, settings: Settings) -> Iterator[Diagnosis]:
    """Whether the dataset that the settings name can be used. What the store does not do is said elsewhere."""
    name, digest = settings.dataset.name, settings.dataset.digest
    what = f"dataset: {name}"
    try:
        ref = datasets.find(store, name, digest)
        if ref is None:
            known = digest is None and name in SOURCES.members()
            push = next_command(f"dataset push {name} --source DIR", store.uri)
            if known:
                yield Diagnosis(what, Mark.GOOD, "not in the store yet: start makes it")
            else:
                yield Diagnosis(what, Mark.BAD, f"not in {store.uri}", push)
            return
        info = datasets.info(store, ref)
        datasets.check_fit(settings, info)
    except StoreError:
        return
    except (BadInput, MessageError) as error:
        yield Diagnosis(what, Mark.BAD, str(error), getattr(error, "hint", ""))
        return
    tested = f"{info.test:,}" if info.test else "none"
    things = "examples" if info.image_size is None else "images"
    counts = f"{info.train:,} {things} to train on, {info.validation:,} for validation, {tested} for the test"
    if info.test or info.image_size is None:
        yield Diagnosis(what, Mark.GOOD, counts)
    else:
        yield Diagnosis(what, Mark.UNKNOWN, counts, "finals need test images; a search does not")
