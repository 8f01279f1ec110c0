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
from importlib import metadata
from typing import Final

from metaqnn_orch.application.assembly import options_on_this_machine
from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, tried
from metaqnn_orch.application.equipment import prove_equipment
from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.local import TRAINER, LocalLauncher
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode, read
from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.extras import EXTRAS, lack, missing, remedy
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore

PATIENCE: Final = 600.0  # seconds for a step of a tiny net; torch takes some to be imported
_NET: Final = "[C(16,3,1), P(2,2), SM(2)]"
_SIZE, _IMAGES, _HELD_OUT = 8, 32, 8
_STARTS: Final = "trainer: starts"
_LOADS: Final = "trainer: can use what the settings name"
_NO_GPU: Final = (
    "nvidia-smi shows the GPU and its driver, which must be new enough for this torch; with CUDA_VISIBLE_DEVICES= the "
    "CPU is used on purpose"
)
_LOOK: Final = 0.05  # seconds between two looks at the worker
_ENDED: Final = frozenset(Phase) - {Phase.PENDING, Phase.RUNNING}


def examine_here(settings: Settings, command: tuple[str, ...] = TRAINER) -> Iterator[Diagnosis]:
    """Everything that training on this machine needs. `command` starts the trainer."""
    yield _packages()
    with tempfile.TemporaryDirectory(prefix="metaqnn-doctor-") as folder:
        aside = DirectoryStore(folder, durable=False)
        options = options_on_this_machine(settings.execution)
        launcher = LocalLauncher(aside.uri, settings.execution.parallel, command, options)
        try:
            asked = tried(_LOADS, lambda: prove_equipment(settings))
            if asked.detail:  # it is empty where everything is built in
                yield asked
            starts = tried(_STARTS, lambda: _started(launcher))
            yield starts
            if starts.mark is not Mark.BAD:
                yield tried("trainer: trains one step of a tiny net", lambda: _trained(launcher, aside))
        finally:
            launcher.close()
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


def _trained(launcher: LocalLauncher, store: Store) -> str:
    request = _request(store)
    launcher.launch(request, 1)
    deadline = time.monotonic() + PATIENCE
    while (seen := launcher.observe().get(request.trial)) is None or seen.phase not in _ENDED:
        if time.monotonic() > deadline:
            raise LauncherError(f"it has not ended after {PATIENCE:.0f} s")
        time.sleep(_LOOK)
    if seen.phase is not Phase.DELIVERED:
        raise LauncherError(seen.detail or str(seen.phase))
    result = read(TrainingResult, store.get, keys.result(request.run, request.trial))
    if result.status not in ("completed", "untrainable"):  # one step need not teach it anything
        raise LauncherError(f"the net is {result.status.replace('_', ' ')}: {result.reason}")
    return f"{_NET} on {_IMAGES} made images in {result.seconds:.1f} s, on {result.device}"


def _request(store: Store) -> TrainingRequest:
    """A request for one step of a tiny net, with its dataset, in the store."""
    spec = TrialSpec(
        net=_NET,
        dataset=_made(store),
        image_size=_SIZE,
        recipe=Recipe(epochs=1, batch_size=_IMAGES, max_rates=1),
    )
    request = TrainingRequest(run="doctor", trial=spec.trial_id(), spec=spec)
    store.put(keys.request(request.run, request.trial), encode(request))
    return request


def _made(store: Store) -> DatasetRef:
    """A dataset object of made images of two classes, bright and dark ones."""
    info = DatasetInfo(
        name="doctor",
        channels=1,
        image_size=_SIZE,
        classes=2,
        train=_IMAGES,
        validation=_HELD_OUT,
        test=0,
        source="made",
    )
    total, noise = _IMAGES + _HELD_OUT, random.Random(0)
    pixels = bytes(min(255, 128 * (n % 2) + noise.randrange(128)) for n in range(total) for _ in range(_SIZE**2))
    tensors: Mapping[str, tuple[str, list[int], bytes]] = {
        "train_images": ("U8", [total, 1, _SIZE, _SIZE], pixels),
        "train_labels": ("I64", [total], _whole([n % 2 for n in range(total)])),
        "train_indices": ("I64", [_IMAGES], _whole([*range(_IMAGES)])),
        "val_indices": ("I64", [_HELD_OUT], _whole([*range(_IMAGES, total)])),
        "test_images": ("U8", [0, 1, _SIZE, _SIZE], b""),
        "test_labels": ("I64", [0], b""),
        "mean": ("F32", [1], struct.pack("<f", 0.5)),
        "std": ("F32", [1], struct.pack("<f", 0.3)),
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
