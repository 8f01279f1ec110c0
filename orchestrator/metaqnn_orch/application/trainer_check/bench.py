"""The tools of the checks: stores in a temporary folder, requests, and runs of the program."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from metaqnn_orch.application.signals import surely
from metaqnn_orch.application.trainer_check.process import Process, ProcessEnd
from metaqnn_orch.application.trainer_check.registry import NotTried, Shortfall
from metaqnn_orch.application.trainer_check.sample import CLASSES, SIZE, sample
from metaqnn_orch.application.trainer_check.watch import Change, Watch
from metaqnn_orch.control.ingest import Refused, read_result
from metaqnn_orch.control.objective import Objective
from metaqnn_orch.errors import BadInput, ObjectMissing
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_EPOCHS
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, decode, encode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.store.directory import DirectoryStore

# It leaves the reward as the task measured it: no objective changes it.
_AS_IT_IS: Final = Objective(
    parse_settings({"dataset": {"name": "check"}, "space": {"image_size": SIZE, "channels": 1, "classes": CLASSES}})
)
RUN: Final = "check"
NET: Final = "[C(4,3,1), SM(3)]"
# Every rate learns these images in its first epoch, so that the other epochs follow.
QUICK: Final = Recipe(epochs=2, batch_size=4, learning_rate=1e-2, chance_factor=1, max_rates=2, dropout="none", seed=1)
LONG: Final = QUICK.model_copy(update={"epochs": MAX_EPOCHS})
OFTEN: Final = TrainerOptions(checkpoint_seconds=0)
_LOOK: Final = 0.01  # seconds between two looks
_NO_GPU: Final = dict.fromkeys(
    ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"), "-1"
)


class Limits(NamedTuple):
    """How long the program may take, in seconds."""

    timeout: float = 120.0
    """Time limit of one run."""
    grace: float = 60.0
    """Time limit from SIGTERM to the program's end: execution.kubernetes.grace_seconds."""
    training: float = 3.0
    """For how long it is left to train, beyond what a delivery takes, where a check is about a training under way."""


DEFAULTS: Final = Limits()


class CheckStore:
    """The store of one check, in a folder, with the dataset in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = DirectoryStore(root, durable=False)
        self.store.put(self.dataset, sample().data)

    @property
    def dataset(self) -> str:
        """The key of the dataset object."""
        return keys.dataset(sample().ref.name, sample().ref.digest)

    def ask(
        self, recipe: Recipe = QUICK, options: TrainerOptions = OFTEN, *, run: str = RUN, **spec: Any
    ) -> TrainingRequest:
        """The request for a trial; it is written to the store."""
        asked: dict[str, Any] = {"net": NET, "dataset": sample().ref, "image_size": SIZE, "recipe": recipe} | spec
        wanted = TrialSpec(**asked)
        request = TrainingRequest(run=run, trial=wanted.trial_id(), spec=wanted, options=options)
        self.store.put(keys.request(request.run, request.trial), encode(request))
        return request

    def folder(self, request: TrainingRequest) -> Path:
        """The folder of everything that belongs to the trial."""
        return self.root / keys.trial(request.run, request.trial)

    def tree(self) -> dict[str, bytes]:
        """Every file of the store, hidden ones too, by its path."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def delivered(self, request: TrainingRequest) -> bool:
        return exists(self.store, keys.result(request.run, request.trial))

    def result(self, request: TrainingRequest) -> TrainingResult:
        """The trial's result, as a message.

        Raises:
            Shortfall: there is none, or it cannot be read.
        """
        key = keys.result(request.run, request.trial)
        try:
            return decode(TrainingResult, self.store.get(key, ENOUGH_BYTES), "result.json")
        except ObjectMissing:
            raise Shortfall(f"no {key}", "a result: exit code 0 says that there is one") from None
        except MessageError as error:
            raise Shortfall(str(error), "a result that is one of the contract") from None

    def accepted(self, request: TrainingRequest) -> TrainingResult:
        """The trial's result, checked as the orchestrator checks it.

        Raises:
            Shortfall: the orchestrator would refuse it.
        """
        found = read_result(self.store, sample().info, request, _AS_IT_IS)
        if found is None:
            return self.result(request)
        if isinstance(found, Refused):
            raise Shortfall(found.reason, "a result that the orchestrator takes")
        return found.result


class Delivery(NamedTuple):
    """A short training that the program carried out."""

    place: CheckStore
    before: Mapping[str, bytes]
    """The files that lay in the store before."""
    request: TrainingRequest
    ended: ProcessEnd
    changes: Sequence[Change] | None
    """The changes in the trial's folder, in order; None where the system cannot tell."""


class Bench:
    """Runs the program `command`. Everything that is written lies in `folder`."""

    def __init__(self, command: Sequence[str], folder: Path, limits: Limits = DEFAULTS) -> None:
        self._command = tuple(command)
        self._folder = folder
        self.limits = limits
        self._numbers = count(1)
        self._delivery: Delivery | Shortfall | None = None
        self.hangs = False
        """Whether a short training had to be ended, because it did not end, or did not stop writing output."""

    def place(self) -> CheckStore:
        """Make a new store."""
        return CheckStore(self._folder / f"store-{next(self._numbers)}")

    def file(self) -> Path:
        """Make a file in a place where a folder is expected."""
        path = self._folder / f"file-{next(self._numbers)}"
        path.touch()
        return path

    def begin(
        self,
        request: TrainingRequest,
        store: str,
        attempt: int = 1,
        *,
        trial: str | None = None,
        gpus: bool = True,
    ) -> AbstractContextManager[Process]:
        """Start the program, as a Job does; `trial` names another trial than the request's. Without `gpus` the program
        sees no GPU.

        Raises:
            BadInput: it cannot be started.
        """
        named = {"store": store, "run": request.run, "trial": trial or request.trial, "attempt": attempt}
        return self._start(["train", *(f"--{name}={value}" for name, value in named.items())], gpus=gpus)

    def begin_bundle(
        self, store: str, run: str, bundle: str, orders: Sequence[tuple[str, int]]
    ) -> AbstractContextManager[Process]:
        """Start the program with several orders, as a Job with several trials does: each is a trial and an attempt.

        Raises:
            BadInput: it cannot be started.
        """
        named = {"store": store, "run": run, "bundle": bundle, "limit": int(10 * self.limits.timeout)}
        own = [f"--{name}={value}" for name, value in named.items()]
        return self._start(["bundle", *own, *(f"--order={trial}/{attempt}" for trial, attempt in orders)])

    def _start(self, arguments: Sequence[str], *, gpus: bool = True) -> AbstractContextManager[Process]:
        scratch = self._folder / "tmp"
        scratch.mkdir(exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(scratch), **({} if gpus else _NO_GPU)}

        def start() -> Process:
            try:
                return Process([*self._command, *arguments], environment)
            except OSError as error:
                raise BadInput(f"{self._command[0]} cannot be started: {error.strerror or error}") from error

        return surely(start)

    def run(
        self,
        request: TrainingRequest,
        store: str,
        attempt: int = 1,
        *,
        trial: str | None = None,
        gpus: bool = True,
        timeout: float | None = None,
    ) -> ProcessEnd:
        """Start the program and wait until it ends.

        Raises:
            Shortfall: it did not end in time, or said far too much.
        """
        longest = self.limits.timeout if timeout is None else timeout
        with self.begin(request, store, attempt, trial=trial, gpus=gpus) as process:
            ended = process.wait(longest)
        if ended is None:
            raise Shortfall(f"still running after {longest:.0f} s", "an end before")
        if ended.too_much:
            raise Shortfall(ended.in_words(), "some lines")
        return ended

    def deliver(self) -> Delivery:
        """The delivery of a short training, which is done once for all checks.

        Raises:
            Shortfall: it delivers nothing.
        """
        if self._delivery is None:
            try:
                self._delivery = self._deliver()
            except Shortfall as shortfall:
                self._delivery = shortfall
        if isinstance(self._delivery, Shortfall):
            raise self._delivery
        return self._delivery

    def _deliver(self) -> Delivery:
        place = self.place()
        request = place.ask()
        before = place.tree()
        with _watched(place.folder(request)) as watch:
            self.hangs = True
            ended = self.run(request, place.store.uri)
            self.hangs = False
            changes = watch.changes() if watch else None
        if ended.code != 0:
            raise Shortfall(ended.in_words(), "exit code 0")
        place.result(request)
        return Delivery(place, before, request, ended, changes)

    def delivery(self) -> Delivery:
        """The delivery, for checks that need one.

        Raises:
            NotTried: there is none.
        """
        try:
            return self.deliver()
        except Shortfall as shortfall:
            raise NotTried(f"it does not deliver: {shortfall.found}") from None

    def until_delivered(self, place: CheckStore, request: TrainingRequest, process: Process) -> None:
        """Wait until the result is there, or the program has ended."""
        until = process.seconds + self.limits.timeout
        while process.seconds < until and not process.is_over() and not place.delivered(request):
            time.sleep(_LOOK)

    def until_training(self, place: CheckStore, request: TrainingRequest, process: Process) -> None:
        """Wait until the program has certainly begun to train: it has written a checkpoint, or has had time to.

        Raises:
            NotTried: it has ended.
        """
        checkpoint = keys.checkpoint(request.run, request.trial)
        while process.seconds < self._trains_after and not exists(place.store, checkpoint):
            if process.is_over():
                epochs = f"{amount(request.spec.recipe.epochs, 'epoch')}"
                raise NotTried(f"it was done with {epochs} in {process.seconds:.1f} s, and could not be interrupted")
            time.sleep(_LOOK)

    @property
    def _trains_after(self) -> float:
        """Seconds from the program's start after which it certainly trains, however slow its start is."""
        return 2 * self.delivery().ended.seconds + self.limits.training

    def soon(self, *, disturbed: bool = False) -> TrainerOptions:
        """Options with which a training of any length ends in a few seconds, with a result; where it is `disturbed`
        once it certainly trains, a few seconds later than that.
        """
        begun = self._trains_after if disturbed else self.delivery().ended.seconds
        return OFTEN.model_copy(update={"time_limit_seconds": begun + self.limits.training})


@contextmanager
def _watched(folder: Path) -> Iterator[Watch | None]:
    try:
        watch = Watch(folder)
    except OSError:
        yield None
        return
    with watch:
        yield watch
