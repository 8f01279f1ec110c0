"""doctor's part about this machine: whether the trainer can be started here, and trains, and on which device; and which
extras are missing for what a person may want later.
"""

from __future__ import annotations

import json
import random
import re
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from typing import Any, Final

from metaqnn_orch.application import datasets
from metaqnn_orch.application.assembly import options_on_this_machine
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, tried
from metaqnn_orch.application.equipment import Step, prove_equipment, prove_step
from metaqnn_orch.application.trainer_call import TRAINER
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.launchers.local import TRAINER as WORKER
from metaqnn_orch.launchers.local import LocalLauncher
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import CLASSIFICATION, DatasetRef
from metaqnn_trainer.extras import EXTRAS, lack, missing, remedy
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore

_IMAGES, _HELD_OUT = 32, 8
_STARTS: Final = "trainer: starts"
_STEP: Final = "trainer: trains one step"
_PUSH: Final = "`dataset push`, or `start`, makes the dataset; after that doctor trains a step on it"
_NO_GPU: Final = (
    "nvidia-smi shows the GPU and its driver, which must be new enough for this torch; with CUDA_VISIBLE_DEVICES= the "
    "CPU is used on purpose"
)


def examine_here(
    settings: Settings,
    store: Store | None = None,
    worker: tuple[str, ...] = WORKER,
    trainer: tuple[str, ...] = TRAINER,
) -> Iterator[Diagnosis]:
    """Everything that training on this machine needs. `store` may have the dataset. `worker` starts a worker, and
    `trainer` the trainer's command line.
    """
    yield _packages()
    launcher = LocalLauncher("", settings.execution.parallel, worker, options_on_this_machine(settings.execution))
    try:
        starts = tried(_STARTS, lambda: _started(launcher))
    finally:
        launcher.close()
    yield starts
    if starts.mark is not Mark.BAD:
        yield _trained(settings, store, trainer)
    yield from _extras(settings)


def _packages() -> Diagnosis:
    what, gone = "trainer: installed", lack("train")
    if gone:
        return Diagnosis(what, Mark.BAD, f"training needs {gone}", remedy("train"))
    versions = {name: metadata.version(name) for name in ("torch", "torchvision")}
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    wanted = next((match[1] for text in metadata.requires("torchvision") or () if (match := _TORCH.match(text))), "")
    if wanted and wanted != versions["torch"].partition("+")[0]:
        return Diagnosis(
            what, Mark.BAD, f"{found}, which belongs to torch {wanted}", "pip install --upgrade 'metaqnn-orch[train]'"
        )
    return Diagnosis(what, Mark.GOOD, found)


_TORCH: Final = re.compile(r"torch\s*\(?==\s*([\d.]+\d)")


def _started(launcher: LocalLauncher) -> str | Diagnosis:
    begun = time.monotonic()
    device, unused = launcher.prove()
    found = f"in {time.monotonic() - begun:.1f} s, on {device}"
    if not unused:
        return found
    return Diagnosis(_STARTS, Mark.WARNING, f"{found}; there is a GPU, but it cannot be used: {unused}", _NO_GPU)


def _trained(settings: Settings, store: Store | None, trainer: tuple[str, ...]) -> Diagnosis:
    """A step of the run's own task on its own dataset, or else on made images, where it has any."""
    ref = _stored(store, settings) if store is not None else None
    if ref is not None:
        assert store is not None
        return tried(_STEP, lambda: _in_words(prove_step(settings, store.uri, ref, trainer), f"examples of {ref.name}"))
    name = settings.dataset.name
    if settings.space.family != DEFAULT_FAMILY:
        return tried(_STEP, lambda: _loaded(settings, trainer))
    with tempfile.TemporaryDirectory(prefix="metaqnn-doctor-") as folder:
        aside = DirectoryStore(folder, durable=False)
        made = _made(aside, settings.space)
        where = f"made images, because {name} is not in the store yet,"
        seen = tried(_STEP, lambda: _in_words(prove_step(settings, aside.uri, made, trainer), where))
    if seen.mark is Mark.GOOD or settings.task.name == CLASSIFICATION.name:
        return seen
    return tried(_STEP, lambda: _loaded(settings, trainer, f" (on made images: {seen.detail})"))


def _stored(store: Store, settings: Settings) -> DatasetRef | None:
    """The run's dataset in the store. What is wrong with it, or with the store, is said elsewhere."""
    with suppress(StoreError, BadInput):
        return datasets.find(store, settings.dataset.name, settings.dataset.digest)
    return None


def _in_words(step: Step, where: str) -> str:
    many = f"{step.examples:,} of {step.of:,}" if step.examples < step.of else f"{step.of:,}"
    measures = f"; measures {', '.join(step.measures)}" if step.measures else ""
    return f"{step.net} on {many} {where} in {step.seconds:.1f} s, on {step.device}{measures}"


def _loaded(settings: Settings, trainer: tuple[str, ...], remark: str = "") -> Diagnosis:
    """What is left to prove where there are no data: those of another task than classification are unknown."""
    proved = prove_equipment(settings, trainer) or f"task {settings.task.name}"
    why = f"{settings.dataset.name} is not in the store yet, and nothing stands for it{remark}"
    return Diagnosis(_STEP, Mark.UNKNOWN, f"{proved} can be used; no step was trained: {why}", _PUSH)


def _made(store: Store, space: Any) -> DatasetRef:
    """A dataset object of random images, of the size, channels and classes of the space."""
    size, channels, total = space.image_size, space.channels, _IMAGES + _HELD_OUT
    info = DatasetInfo(
        name="made",
        channels=channels,
        image_size=size,
        classes=space.classes,
        train=_IMAGES,
        validation=_HELD_OUT,
        test=0,
        source="made",
    )
    pixels = random.Random(0).randbytes(total * channels * size**2)
    tensors: Mapping[str, tuple[str, list[int], bytes]] = {
        "train_images": ("U8", [total, channels, size, size], pixels),
        "train_labels": ("I64", [total], _whole([n % space.classes for n in range(total)])),
        "train_indices": ("I64", [_IMAGES], _whole([*range(_IMAGES)])),
        "val_indices": ("I64", [_HELD_OUT], _whole([*range(_IMAGES, total)])),
        "test_images": ("U8", [0, channels, size, size], b""),
        "test_labels": ("I64", [0], b""),
        "mean": ("F32", [channels], struct.pack("<f", 0.5) * channels),
        "std": ("F32", [channels], struct.pack("<f", 0.3) * channels),
    }
    # safetensors, written by hand: 8 bytes of little-endian length, JSON, and the bytes of the tensors
    header: dict[str, object] = {"__metadata__": {"info": info.text()}}
    data = b""
    for name, (kind, shape, part) in sorted(tensors.items(), key=lambda item: item[1][0] == "U8"):
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    made = len(head).to_bytes(8, "little") + head + data
    ref = DatasetRef(name=info.name, digest=object_digest(made))
    store.put(keys.dataset(ref.name, ref.digest), made)
    return ref


def _whole(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _extras(settings: Settings) -> Iterator[Diagnosis]:
    """What is not installed for other commands, and what these settings ask for."""
    asked = {name for name in ("mlflow", "tensorboard") if getattr(settings.tracking, name) is not None}
    for name, extra in EXTRAS.items():
        if name != "train" and (gone := missing(name)):
            mark = Mark.BAD if name in asked else Mark.UNKNOWN
            yield Diagnosis(f"extra {name}", mark, f"no {', no '.join(gone)}, for {extra.purpose}", remedy(name))
