"""Runs a trial from its request, which is in the store, to its result, which is written there."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from typing import Any

from metaqnn_trainer.blame import blamed
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_COST
from metaqnn_trainer.contract.errors import MessageError, NotationError, PluginError, ShapeError, UnknownLayer
from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.delivery import deliver, teller
from metaqnn_trainer.errors import (
    KNOWN,
    HostMemoryError,
    PluginFault,
    RequestError,
    RunFault,
    Settled,
    exit_code,
    in_words,
)
from metaqnn_trainer.faults import cause
from metaqnn_trainer.fetching import Opened, patient_store, read_request
from metaqnn_trainer.plugins import TASKS, Group
from metaqnn_trainer.progress import of_trial, say
from metaqnn_trainer.reading import Loaded, Reader
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.start_up import Ahead
from metaqnn_trainer.store.base import Store, exists
from metaqnn_trainer.store.errors import StoreError
from metaqnn_trainer.store.patient import may_pass
from metaqnn_trainer.tasks.base import Load, Task, data_key, task_of
from metaqnn_trainer.training.checkpoint import Checkpoints
from metaqnn_trainer.training.device import choose_device, device_name, process_began
from metaqnn_trainer.training.gpu import THIS_MACHINE, Gpus
from metaqnn_trainer.training.memory import is_out_of_memory, memory_for_training
from metaqnn_trainer.training.one_step import OneStep, one_step, short
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train
from metaqnn_trainer.training.so_far import EpochsSoFar


class Trainer:
    """What a process keeps from one trial to the next: the device, the data used last, the store used last."""

    def __init__(
        self,
        threads: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        dataset_cache: DatasetCache | None = None,
        gpus: Gpus = THIS_MACHINE,
        opened: Opened | None = None,
        tasks: Load = TASKS.load,
        spaces: Load = SPACES.load,
        ahead: Ahead | None = None,
    ) -> None:
        """`stop` is called after every step, and returns whether to end the trial with a checkpoint. `dataset_cache`
        keeps datasets beyond this process. `gpus` looks for a GPU, `opened` returns the store at an address, `tasks`
        and `spaces` return plug-ins by their names. `ahead` has begun to read for the first trial.
        """
        self._gpus = gpus
        self._device = choose_device(threads, gpus)
        self._dataset_cache = dataset_cache
        self._loaded = Loaded()
        self._stop = stop
        self._ahead = ahead or Ahead()
        opened = opened or partial(patient_store, stop=stop)
        self._opened = lru_cache(1)(lambda uri: self._ahead.get(uri, partial(opened, uri)))
        self._tasks, self._spaces = tasks, spaces
        began = process_began()
        # The start of the process counts for the first trial; the time in which it then waits for an order does not.
        self._startup = time.monotonic() - began if began is not None else 0.0

    @property
    def device(self) -> str:
        """The device that it trains on, in the words of results."""
        return device_name(self._device)

    @property
    def unused(self) -> str:
        """Why a GPU that is there is not trained on, in words; empty where one is, and where there is none."""
        return self._gpus.unused() if self._device.type != "cuda" else ""

    def carry_out(self, order: WorkOrder) -> WorkReport:
        """Run the trial that `order` names. Every outcome becomes the report; no exception is raised."""
        with of_trial(order.trial):
            return self._carry_out(order)

    def _carry_out(self, order: WorkOrder) -> WorkReport:
        try:
            begun, self._startup = time.monotonic() - self._startup, 0.0
            self.run(self._opened(order.store), order, begun)
        except KNOWN as error:
            if isinstance(error, StoreError) and may_pass(error, writes=True) and self._stop():
                waited = f"it was asked to stop while it waited for the store: {in_words(error)}"
                return _failed(order, ExitCode.PREEMPTED, waited)
            return _failed(order, exit_code(error), in_words(error))
        except Exception as error:
            if failed := self._gpus.failed(error):
                return _failed(order, failed.exit_code, in_words(failed))
            if isinstance(error, ImportError):  # of what is imported late
                return _failed(order, ExitCode.UNEQUIPPED, f"{type(error).__name__}: {in_words(error)}")
            if is_out_of_memory(error):  # outside of training, which handles this error itself
                return _failed(order, HostMemoryError.exit_code, in_words(error))
            say(traceback.format_exc())
            return _failed(order, ExitCode.INTERNAL, cause(error))
        return WorkReport(trial=order.trial, exit_code=ExitCode.DELIVERED)

    def run(self, store: Store, order: WorkOrder, begun: float) -> None:
        """Train the design that the request of `order` asks for, and write result.json, last of all and only if there
        is none.

        Training goes on from an earlier attempt's checkpoint, which is removed once there is a result.

        `begun` is when the work for this trial began, by time.monotonic: the time limit counts from then.

        If another attempt's result is there before, during or after training, it stays as it is, and this attempt
        leaves nothing behind.

        Raises:
            RequestError: the request cannot be read, or asks for a net that cannot be built.
            RunFault, PluginError, UnknownField: what every net of the run asks for is wrong, or not known here.
            DeviceError: a GPU was asked for and none is usable.
            DatasetError: the dataset is missing, or is not the requested one.
            StoreError: the store does not answer.
            HostMemoryError: other processes use the main memory that training needs.
            Preempted: the trainer was asked to stop.
        """
        started = time.monotonic()
        run, trial, attempt = order.run, order.trial, order.attempt
        request = self._ahead.get((run, trial), partial(read_request, store, run, trial))
        spec, options = request.spec, request.options
        say(f"attempt {attempt}: {spec.net}")
        with (
            closing(Checkpoints(store, run, spec, options.checkpoint_seconds, say)) as checkpoints,
            closing(EpochsSoFar(store, run, trial, attempt)) as so_far,
            self._faults(spec, PluginFault),
        ):
            if exists(store, keys.result(run, trial)):
                say("there is already a result")
            else:
                self._gpus.check(options.devices, self._device)
                read = Reader(store, self._dataset_cache, self._ahead)
                subject = self._subject(read, spec)
                initial = read.weights(spec.initial) if spec.initial is not None else None
                tell, elapsed = teller(subject.task.measure, spec.recipe.epochs), partial(_since, begun)
                try:
                    with memory_for_training(self._device) as memory:
                        training = train(
                            subject, tell, options, checkpoints, self._stop, memory, initial, elapsed, so_far
                        )
                    deliver(store, request, attempt, training, subject.cost, self._device, begun, started)
                except Settled as error:
                    say(str(error))
            checkpoints.remove()
            so_far.remove()

    def one_step(self, store: Store, spec: TrialSpec) -> OneStep:
        """Train one step of a trial and measure what comes of it, to show that this can be done. Nothing is written.

        Raises:
            TrainerError, ContractError, StoreError: as `run` says, or the net does not fit the device.
        """
        spec = spec.model_copy(update={"recipe": short(spec.recipe)})
        with self._faults(spec, PluginFault):
            return one_step(self._subject(Reader(store, self._dataset_cache), spec))

    def _subject(self, read: Reader, spec: TrialSpec) -> Subject:
        """The design to train, its task and its data.

        Raises:
            RequestError, RunFault, PluginError, UnknownField, DatasetError, StoreError: as `run` says.
        """
        _check_plugins(spec)
        task = task_of(spec, self._tasks, self._spaces)
        with self._faults(spec, PluginError):
            data = self._data(read, spec, task)
        try:
            cost = task.cost(data)
        except UnknownLayer as error:
            raise PluginError(f"{spec.net} cannot be trained here: {error}") from error
        except (MessageError, NotationError, ShapeError) as error:
            raise RequestError(f"{spec.net} cannot be trained: {error}") from error
        if max(cost) > MAX_COST:
            raise RequestError(f"{spec.net} has {cost[0]} parameters and {cost[1]} multiply-accumulates: too many")
        return Subject(task, data, self._device, cost)

    def _data(self, read: Reader, spec: TrialSpec, task: Task) -> Any:
        """The task's data, on which the design has no influence."""
        try:
            return self._loaded.get(data_key(spec), partial(task.load, read, self._device))
        except (RequestError, MessageError, NotationError, ShapeError) as error:
            raise RunFault(str(error)) from error

    @contextmanager
    def _faults(self, spec: TrialSpec, kind: type[PluginFault | PluginError]) -> Iterator[None]:
        """A block in which an error of a plug-in of the trial becomes one of this `kind`, which names the plug-in. What
        the machine lacks, memory or a GPU, stays what it is.
        """
        try:
            yield
        except KNOWN:
            raise
        except Exception as error:
            if self._gpus.failed(error) or is_out_of_memory(error) or not (words := blamed(error, spec)):
                raise
            say(traceback.format_exc())
            raise (PluginError if isinstance(error, ImportError) else kind)(words) from error


def _failed(order: WorkOrder, code: ExitCode, reason: str) -> WorkReport:
    return WorkReport(trial=order.trial, exit_code=code, reason=reason)


def _check_plugins(spec: TrialSpec) -> None:
    """Check that the plug-ins that decide what is trained are those of the request."""
    for member, wanted in spec.plugins.items():
        group, _, name = member.rpartition(":")
        plugin = Group(group, "").members().get(name)
        if plugin is None:
            raise PluginError(f"{wanted} is not installed in this trainer, or in its image: the run needs its {member}")
        if plugin.identity != wanted:
            raise PluginError(
                f"{wanted} was asked for, but {plugin.identity} is installed here: the run needs its {member}"
            )


def _since(moment: float) -> float:
    return time.monotonic() - moment
