"""Wrong requests, datasets and stores: each ends with its exit code, a reason, and no result."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from metaqnn_orch.application.trainer_check.bench import Bench, CheckStore
from metaqnn_orch.application.trainer_check.process import ProcessEnd
from metaqnn_orch.application.trainer_check.registry import Checks, Doubt, Shortfall
from metaqnn_orch.application.trainer_check.sample import CLASSES, SIZE
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, encode
from metaqnn_trainer.contract.messages import PluginRef, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode

CHECKS: Final = Checks("wrong")

_HOPELESS: Final = "end with 11: the trial is then abandoned at once; any other code has it tried again and again"
_UNKNOWN: Final = (
    "compare the names with those that you know, and end with 18: the search then stops or pauses, and no net is lost; "
    "after 11 the net is abandoned"
)


@CHECKS.add("no-request", fix=_HOPELESS)
def no_request(bench: Bench) -> str:
    """There is no request."""
    place = bench.place()
    request = place.ask()
    place.store.delete(keys.request(request.run, request.trial))
    return _refused(bench, place, request, ExitCode.BAD_REQUEST)


@CHECKS.add("another-trial", fix=f"hold run and trial in request.json against --run and --trial, and {_HOPELESS}")
def another_trial(bench: Bench) -> str:
    """request.json is of another trial than the command line."""
    place = bench.place()
    request, trial = place.ask(), "0" * 12
    place.store.put(keys.request(request.run, trial), encode(request))
    place.store.delete(keys.request(request.run, request.trial))
    return _refused(bench, place, request, ExitCode.BAD_REQUEST, trial=trial)


@CHECKS.add("damaged-request", fix=_HOPELESS)
def damaged_request(bench: Bench) -> str:
    """request.json is cut in half."""
    place = bench.place()
    request = place.ask()
    data = encode(request)
    place.store.put(keys.request(request.run, request.trial), data[: len(data) // 2])
    return _refused(bench, place, request, ExitCode.BAD_REQUEST)


@CHECKS.add("unknown-space", fix=_UNKNOWN)
def unknown_space(bench: Bench) -> str:
    """The design is of a family that no trainer knows."""
    place = bench.place()
    return _unknown(bench, place, place.ask(space=PluginRef(name="no-such-space")))


@CHECKS.add("unknown-layer", fix=_UNKNOWN)
def unknown_layer(bench: Bench) -> str:
    """The net has a kind of layer that nobody knows."""
    place = bench.place()
    return _unknown(bench, place, place.ask(net="[XYZ(4,3,1), SM(3)]"))


@CHECKS.add("unknown-task", fix=_UNKNOWN)
def unknown_task(bench: Bench) -> str:
    """What is to be learned is a task that no trainer knows."""
    place = bench.place()
    return _unknown(bench, place, place.ask(task=PluginRef(name="no-such-task")))


@CHECKS.add("unknown-plugin", fix=_UNKNOWN)
def unknown_plugin(bench: Bench) -> str:
    """A plug-in that nobody has decides what is trained."""
    place = bench.place()
    request = place.ask(plugins={"metaqnn.layers:no-such-layer": "no-such-distribution 1.0"})
    return _unknown(bench, place, request)


@CHECKS.add("too-many-pools", fix=f"compute the size after each layer, as docs/trainer.md says, and {_HOPELESS}")
def too_many_pools(bench: Bench) -> str:
    """The net pools images until nothing of them is left."""
    place = bench.place()
    net = f"[{'P(2,2), ' * SIZE}SM({CLASSES})]"
    return _refused(bench, place, place.ask(net=net), ExitCode.BAD_REQUEST)


@CHECKS.add("other-classes", fix=f"hold the net's last layer against the dataset's classes, and {_HOPELESS}")
def other_classes(bench: Bench) -> str:
    """The net ends in other classes than the dataset has."""
    place = bench.place()
    return _refused(bench, place, place.ask(net=f"[C(4,3,1), SM({CLASSES + 2})]"), ExitCode.BAD_REQUEST)


@CHECKS.add("no-dataset", fix="end with 12 where the dataset object is missing")
def no_dataset(bench: Bench) -> str:
    """The dataset is missing."""
    place = bench.place()
    request = place.ask()
    place.store.delete(place.dataset)
    return _refused(bench, place, request, ExitCode.DATASET)


@CHECKS.add("damaged-dataset", fix="hold the sha256 of all its bytes against the digest in the request; end with 12")
def damaged_dataset(bench: Bench) -> str:
    """One bit of the dataset is another."""
    place = bench.place()
    request = place.ask()
    data = bytearray(place.store.get(place.dataset, ENOUGH_BYTES))
    data[-1] ^= 1
    place.store.put(place.dataset, bytes(data))
    return _refused(bench, place, request, ExitCode.DATASET)


@CHECKS.add("store-refuses", fix="end with 17 where the store refuses for good, with 15 where it is away for now")
def store_refuses(bench: Bench) -> str:
    """The store takes nothing."""
    place = bench.place()
    request, codes = place.ask(), (ExitCode.STORE, ExitCode.STORE_REFUSED)
    if os.geteuid() == 0:  # a user with every right gets a path that cannot be a folder
        return _judge(bench.run(request, str(bench.file() / "store")), codes)
    with _read_only(place.folder(request)):
        return _refused(bench, place, request, *codes)


def _unknown(bench: Bench, place: CheckStore, request: TrainingRequest) -> str:
    said = _refused(bench, place, request, ExitCode.UNEQUIPPED, ExitCode.BAD_REQUEST)
    if said.startswith(f"exit code {int(ExitCode.BAD_REQUEST)}:"):  # as the contract wanted before it had a code for it
        raise Doubt(said, f"exit code {int(ExitCode.UNEQUIPPED)}")
    return said


def _refused(
    bench: Bench, place: CheckStore, request: TrainingRequest, *codes: ExitCode, trial: str | None = None
) -> str:
    before = place.tree()
    said = _judge(bench.run(request, place.store.uri, trial=trial), codes)
    if more := sorted(place.tree().keys() - before.keys()):
        raise Shortfall(
            f"{more[0]} was written", "nothing in the store", "check the request before anything is written"
        )
    return said


def _judge(ended: ProcessEnd, codes: Collection[ExitCode]) -> str:
    expected = " or ".join(f"exit code {int(code)}" for code in codes)
    if ended.code not in codes:
        raise Shortfall(ended.in_words(), expected)
    if not ended.last_words:
        raise Shortfall(f"exit code {ended.code}, saying nothing", "a line on standard error with the reason")
    if b"Traceback (most recent call last)" in ended.err:
        raise Shortfall(f"a traceback before: {ended.last_words}", "one line with the reason", "catch the exception")
    return f"exit code {ended.code}: {ended.last_words}"


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(0o700)
