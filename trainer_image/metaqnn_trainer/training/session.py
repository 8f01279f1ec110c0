"""Trains one design by the recipe (paper, section 5 and appendix A; Recipe has the details)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from metaqnn_trainer.contract.bounds import MAX_MEMORY
from metaqnn_trainer.contract.messages import LearningCurve, QuarterRule, TrainerOptions
from metaqnn_trainer.contract.result import EpochRecord, Position
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.errors import CheckpointError, HostMemoryError, Preempted, Settled
from metaqnn_trainer.training.checkpoint import Checkpoints
from metaqnn_trainer.training.course import Course, Hooks
from metaqnn_trainer.training.device import choose_kernels
from metaqnn_trainer.training.early_end import stopped
from metaqnn_trainer.training.graph import CudaRecorder
from metaqnn_trainer.training.memory import DeviceMemory, PeakMemory, is_out_of_memory, release_memory
from metaqnn_trainer.training.outcome import Subject, Training, Weights
from metaqnn_trainer.training.so_far import EpochsSoFar

DEFAULTS: Final = TrainerOptions()
_SMALLEST_MICRO_BATCH: Final = 8  # smallest micro-batch: a smaller one would train for days
_RECORDINGS: Final = 4  # a step is recorded if its memory fits the device so many times
# share of the free memory that a micro-batch's estimate may use: libraries and fragmentation need the rest
_FILLED: Final = 0.5


def train(
    subject: Subject,
    on_epoch: Callable[[EpochRecord], None],
    options: TrainerOptions = DEFAULTS,
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], bool] = lambda: False,
    memory: DeviceMemory | None = None,
    initial: Weights | None = None,
    elapsed: Callable[[], float] | None = None,
    so_far: EpochsSoFar | None = None,
) -> Training:
    """Train a design by its recipe, on the device where its data are.

    If the first epoch is no better than chance, or its loss is not finite, training starts again from fresh weights at
    a lower learning rate. When all learning rates fail, the net is untrainable; when it does not fit the device, it is
    too large: both count as chance. A loss that is not finite in a later epoch ends training, and the best epoch before
    it counts. The same happens when the time is up: `elapsed` returns the seconds that this attempt has used, by
    default since this call, and those of earlier attempts count, too. With `options.early_end` training ends after the
    epoch at which that rule stops the net, and no weights are kept, so that it is not taken for a trained net.

    Before any allocation, the memory that training needs at least is compared with `memory`, by default the device's,
    if the task can estimate it. Training that does not fit, then or when memory runs out, begins again once with
    micro-batches (see Course), if those can fit. Without an estimate, smaller ones are tried as long as memory runs
    out.

    Training begins with the `initial` weights, as far as they fit, and otherwise with fresh ones.

    Training goes on from the last of `checkpoints`, if there is one. On a CPU the weights are then those of an
    uninterrupted training, bit for bit.

    After every epoch `on_epoch` is called with it, and `so_far` with all epochs of all attempts.

    `stop` is called before the first step, after every step and after every batch of an evaluation.

    Raises:
        Preempted: `stop` returned True; the last checkpoint is from that step.
        Settled: another attempt has delivered the result.
        StoreError: the store does not say whether there is a checkpoint.
        HostMemoryError: main memory is large enough for the net, but other processes use it now.
        RuntimeError: any other error.
    """
    memory = memory or DeviceMemory.of(subject.device)
    return _Session(subject, on_epoch, options, checkpoints, stop, memory, initial, elapsed, so_far).run()


class _TimeUp(Exception):
    """The time limit was reached."""


class _Stopped(Exception):
    """The rule for an early end stops the net."""


class _Session:
    """One attempt at a course, with its interruptions and its outcome."""

    def __init__(
        self,
        subject: Subject,
        on_epoch: Callable[[EpochRecord], None],
        options: TrainerOptions,
        checkpoints: Checkpoints | None,
        stop: Callable[[], bool],
        memory: DeviceMemory,
        initial: Weights | None,
        elapsed: Callable[[], float] | None,
        so_far: EpochsSoFar | None,
    ) -> None:
        self._subject = subject
        self._spec = subject.spec
        self._initial = initial
        self._limit = options.time_limit_seconds
        self._early_end = options.early_end
        self._checkpoints = checkpoints
        self._stop = stop
        self._memory = memory
        self._peak = PeakMemory(subject.device)
        begun = time.monotonic()
        self._elapsed = elapsed or (lambda: time.monotonic() - begun)
        self._earlier = 0.0  # seconds of attempts before this one
        self._on_epoch = on_epoch
        self._so_far = so_far
        self._hooks = Hooks(self._pause, self._tell, self._at_rest)
        self._course = self._begun()
        found = checkpoints.read() if checkpoints is not None else None
        if checkpoints is not None and found is not None:
            try:
                self._course.restore(found)
                self._earlier = found.state.seconds
            except CheckpointError as error:
                checkpoints.refuse(error)
                self._course = self._begun()

    def run(self) -> Training:
        try:
            return self._run()
        finally:
            self._course.forget()

    def _run(self) -> Training:
        need, size = self._need(self._batch), self._memory.size
        trouble = ""
        if need is not None and need > size:
            trouble = f"training needs at least {_gib(need)} of memory, but the device has {_gib(size)}"
        trouble = trouble or self._attempt()
        while trouble and self._divide():
            trouble = self._attempt()
        training = self._course.training
        if trouble:
            training.status, training.reason = "too_large", trouble
            training.fall_back()
        need = self._need(self._batch)
        training.estimated_memory = None if need is None else min(need, MAX_MEMORY)
        training.peak_memory = self._peak.bytes()
        return training

    def _begun(self, micro_batch: int | None = None) -> Course:
        """A course at its beginning. On a GPU, steps are recorded where there is enough memory: a recording keeps
        memory of its own.
        """
        recorder = CudaRecorder() if self._subject.device.type == "cuda" and micro_batch is None else None
        return Course(self._subject, self._hooks, micro_batch, recorder, self._initial, self._affordable)

    def _affordable(self) -> bool:
        """Whether a step may be recorded: by the estimate, or else by the memory that the first steps used."""
        need = self._need(self._spec.recipe.batch_size)
        return _RECORDINGS * (need or self._peak.bytes() or 0) < self._memory.size

    def _attempt(self) -> str:
        """Train. Returns the error's message where memory ran out, else an empty text."""
        training, need = self._course.training, self._need(self._batch)
        # If other processes use the GPU's memory, the result is this error, and nothing worse.
        if need is not None and need > self._memory.free() and self._subject.device.type == "cpu":
            raise HostMemoryError(f"training needs at least {_gib(need)} of memory, which other processes use now")
        choose_kernels(self._spec.recipe)
        try:
            self._course.run()
        except _TimeUp:
            training.status, training.reason = (
                "timed_out",
                (f"the time limit of {self._limit:g} s was reached {self._moment}"),
            )
        except _Stopped:
            training.status, training.weights = "stopped_early", None
        except Preempted:
            self._keep()
            if self._checkpoints is not None:
                self._checkpoints.wait()
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return one_line(str(error), 500)
        self._course.draw()
        if self._checkpoints is not None:
            self._checkpoints.settle()
        return ""

    def _divide(self) -> bool:
        """Switch to micro-batches, from the beginning; False where that was done before, or cannot help."""
        micro_batch = self._smaller()
        if micro_batch is None:
            return False
        self._course.forget()
        self._course = self._begun(micro_batch)
        release_memory(self._subject.device)
        return True

    def _smaller(self) -> int | None:
        """The largest of a half, a quarter, and so on, of the batch that may fit; None if there is none."""
        batch, need = self._batch, self._need(self._batch)
        if need is not None and self._course.training.micro_batch is not None:
            return None
        while batch > _SMALLEST_MICRO_BATCH:
            batch = -(-batch // 2)
            least = self._need(batch)
            if need is None or least is None or least <= int(_FILLED * min(self._memory.size, need)):
                return batch
        return None

    def _need(self, batch: int) -> int | None:
        """Bytes that training needs at least, with so many examples at once."""
        return self._subject.task.memory(self._subject.data, batch)

    @property
    def _batch(self) -> int:
        return self._course.training.micro_batch or self._spec.recipe.batch_size

    @property
    def _seconds(self) -> float:
        return self._earlier + self._elapsed()

    @property
    def _moment(self) -> str:
        epoch = self._course.position.epoch
        return f"in epoch {epoch}" if epoch <= self._spec.recipe.epochs else "during the test on the test images"

    def _pause(self) -> None:
        stopped = self._stop()
        if self._limit is not None and self._seconds >= self._limit:
            # whether a stop was asked for or not: writing the result takes no longer than writing a checkpoint
            raise _TimeUp
        if stopped:
            raise Preempted(f"stopped at {self._course.position}")
        if self._checkpoints is not None and self._checkpoints.settled:
            raise Settled(f"stopped at {self._course.position}: another attempt has delivered the result")
        if self._checkpoints is not None and self._checkpoints.overdue:
            self._keep()

    def _tell(self, record: EpochRecord) -> None:
        self._on_epoch(record)
        if self._so_far is not None:
            self._so_far.tell(self._course.training.records)

    def _at_rest(self) -> None:
        self._look_ahead()
        kept, is_last = self._checkpoints, self._course.position.epoch > self._spec.recipe.epochs
        if kept is not None and (kept.due or (is_last and kept.is_due_at_the_end())):
            self._keep()

    def _keep(self) -> None:
        """Send a checkpoint, if this attempt has done any work yet."""
        begin = self._course.training.resumed_from or Position()
        if self._checkpoints is not None and self._course.position != begin:
            self._checkpoints.send(self._course.checkpoint(self._seconds))

    def _look_ahead(self) -> None:
        """Apply the early-end rule before a checkpoint: so an attempt that goes on from a checkpoint has a net that
        passed the rule.
        """
        counted, epochs, rule = self._course.counted, self._spec.recipe.epochs, self._early_end
        if rule is None or not counted:
            return
        task, (params, macs) = self._subject.task, self._subject.cost
        begun = LearningCurve(
            params=params,
            macs=macs,
            layers=task.parts(),
            accuracies=tuple(record.reward for record in counted),
        )
        training = self._course.training
        found = training.prediction = stopped(rule, begun, epochs, task.bounds)
        if found is not None:
            low = ""
            if isinstance(rule, QuarterRule):
                low = f"its reward was {max(begun.accuracies):.4f}, the best third's at least {rule.threshold:.4f}; "
            training.reason = (
                f"after epoch {len(counted)} of {epochs} {low}the predicted reward was {found.accuracy:.4f} ± "
                f"{found.spread:.4f}, and the best net has {rule.best:.4f}"
            )
            raise _Stopped


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
