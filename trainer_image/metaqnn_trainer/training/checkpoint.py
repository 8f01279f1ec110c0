"""Checkpoints: the state of a training between two steps, as one object of the trial.

The object is the sha256 of the rest in hex, a line's end, and a safetensors file; nothing in it can be executed.
Randomness is not in it, because it is a function of seed, epoch and step.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor

from metaqnn_trainer import __version__
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MicroBatch, Seconds, Sha256
from metaqnn_trainer.contract.codec import Message, decode, encode_line
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, Position
from metaqnn_trainer.errors import CheckpointError
from metaqnn_trainer.store.base import Store, exists
from metaqnn_trainer.store.errors import StoreError

_DIGEST_BYTES: Final = 64
_WITHIN_EPOCH: Final = 60.0  # seconds between checkpoints within an epoch: a checkpoint takes as long as some steps
_BEFORE_THE_END: Final = 5.0  # seconds of training that are worth a checkpoint of its end
_ARRIVAL: Final = 10.0  # seconds for which the publication of a result waits for that checkpoint
_STATE, _HISTORY = "state", "history"  # names of tensors that hold text

Say = Callable[[str], None]


class CheckpointState(Message):
    """The content of a checkpoint, apart from its tensors and the history."""

    release: str = Field(max_length=200)
    spec_digest: Sha256
    position: Position
    """Position of the next step."""
    images: int = Field(ge=0, le=10**15)
    """Images trained on, over all learning rates."""
    train_seconds: Seconds
    """Seconds of training on them."""
    epoch_seconds: Seconds
    """Seconds of training in the present epoch."""
    micro_batch: MicroBatch | None = None
    """Images in a micro-batch, where a whole batch does not fit the device."""
    seconds: Seconds
    """Seconds of all attempts, including evaluation; the time of an attempt after its last checkpoint is not
    counted.
    """


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint. `tensors`, all in main memory, are named after their part, a slash, and their own name."""

    state: CheckpointState
    records: list[EpochRecord]
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, by their own names."""
        begin = f"{name}/"
        return {key.removeprefix(begin): tensor for key, tensor in self.tensors.items() if key.startswith(begin)}


def release() -> str:
    """Versions that must be the same where training goes on."""
    return f"metaqnn {__version__}, torch {torch.__version__}"


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    texts = {
        _STATE: encode_line(checkpoint.state),
        _HISTORY: b"".join(encode_line(record) for record in checkpoint.records),
    }
    tensors = {name: torch.frombuffer(bytearray(text), dtype=torch.uint8) for name, text in texts.items() if text}
    data = safetensors.torch.save(tensors | {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()})
    return b"%s\n%s" % (hashlib.sha256(data).hexdigest().encode(), data)


def decode_checkpoint(data: bytes, spec: TrialSpec) -> Checkpoint:
    """The checkpoint in these bytes.

    Raises:
        CheckpointError: damaged, of another trial or of another release.
    """
    digest, file = data[:_DIGEST_BYTES], data[_DIGEST_BYTES + 1 :]
    if hashlib.sha256(file).hexdigest().encode() != digest:
        raise CheckpointError(f"its {len(data)} bytes are damaged")
    try:
        tensors = safetensors.torch.load(file)
        state = decode(CheckpointState, _text(tensors, _STATE), _STATE)
        records = [decode(EpochRecord, line, _HISTORY) for line in _text(tensors, _HISTORY).splitlines()]
    except (SafetensorError, MessageError) as error:
        raise CheckpointError(str(error)) from error
    if state.spec_digest != spec.digest():
        raise CheckpointError(f"it is of another trial, {state.spec_digest[:12]}")
    if state.release != release():
        raise CheckpointError(f"it is of another release, {state.release}")
    return Checkpoint(state, records, tensors)


def _text(tensors: dict[str, Tensor], name: str) -> bytes:
    text = tensors.pop(name, torch.empty(0, dtype=torch.uint8))
    return bytes(text.flatten().view(torch.uint8).numpy())


class Checkpoints:
    """The checkpoints of one trial. They are sent to the store while training goes on, one at a time, and a new one
    replaces the last. One that cannot be stored does not stop training.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        spec: TrialSpec,
        seconds: float,
        say: Say,
        within_epoch: float = _WITHIN_EPOCH,
        before_the_end: float = _BEFORE_THE_END,
    ) -> None:
        """At least `seconds` lie between two checkpoints, and between those within one epoch also at least
        `within_epoch`. Before the one of the end of training lie at least `before_the_end`, if that is less.
        """
        self._store = store
        self._key = keys.checkpoint(run, spec.trial_id())
        self._result = keys.result(run, spec.trial_id())
        self._spec = spec
        self._seconds = seconds
        self._within_epoch = max(seconds, within_epoch)
        self._before_the_end = min(seconds, before_the_end)
        self._say = say
        self._last = time.monotonic()
        self._there = True  # assumed until it is known
        self._refused = False
        self.settled = False
        """Whether there was a result when the last checkpoint had arrived: another attempt delivered it meanwhile."""
        self._sender: ThreadPoolExecutor | None = None
        self._sending: Future[None] | None = None

    def read(self) -> Checkpoint | None:
        """The earlier attempt's checkpoint, or None where there is none from which training can go on.

        Raises:
            StoreError: the store does not answer.
        """
        self._there = exists(self._store, self._key)
        if not self._there:
            return None
        try:
            return decode_checkpoint(self._store.get(self._key), self._spec)
        except CheckpointError as error:
            self.refuse(error)
            return None

    def refuse(self, error: CheckpointError) -> None:
        """Report why the checkpoint that was read cannot be used."""
        self._say(f"training starts from the beginning, because {self._key} cannot be used: {error}")

    @property
    def due(self) -> bool:
        """Whether the last checkpoint has arrived, and is old enough for another after an epoch."""
        return self._arrived and time.monotonic() - self._last >= self._seconds

    @property
    def overdue(self) -> bool:
        """Whether the last checkpoint is old enough for another between two steps."""
        return self._arrived and time.monotonic() - self._last >= self._within_epoch

    def is_due_at_the_end(self) -> bool:
        """Wait for a checkpoint that is on its way, and say whether what was trained since is worth another after the
        last epoch, so that an attempt that ends while its result waits for the store need not train again.
        """
        if time.monotonic() - self._last < self._before_the_end:
            return False
        self.settle()
        return self._arrived

    @property
    def _arrived(self) -> bool:
        return not self._refused and (self._sending is None or self._sending.done())

    def send(self, checkpoint: Checkpoint) -> None:
        """Send a checkpoint. Returns at once, and waits only if another one is still on its way. After a refusal no
        further checkpoint is sent.
        """
        self.wait()
        if self._refused:
            return
        self._last, self._there = time.monotonic(), True
        self._sender = self._sender or ThreadPoolExecutor(1, "checkpoint")
        self._sending = self._sender.submit(copy_context().run, self._put, checkpoint)

    def wait(self) -> None:
        """Wait until the last checkpoint has arrived, or failed to."""
        if self._sending is not None:
            self._sending.result()

    def settle(self, seconds: float = _ARRIVAL) -> None:
        """Wait until the last checkpoint has arrived, or failed to, for so many seconds at most: a store that is away
        keeps the result waiting as well.
        """
        if self._sending is not None:
            wait([self._sending], seconds)

    def remove(self) -> None:
        """Remove the checkpoint, once there is a result."""
        self.wait()
        try:
            if self._there:
                self._store.delete(self._key)
        except StoreError as error:
            self._say(f"the checkpoint could not be removed: {error}")

    def close(self) -> None:
        """Wait for the last checkpoint, and end the thread."""
        if self._sender is not None:
            self._sender.shutdown()

    def _put(self, checkpoint: Checkpoint) -> None:
        try:
            self._store.put(self._key, encode_checkpoint(checkpoint))
            if exists(self._store, self._result):
                self.settled = True
                self._store.delete(self._key)  # the attempt that delivered may have looked for it before it was there
        except StoreError as error:
            # An object that is too large, or not allowed, will be refused again; a full store has been waited for.
            self._refused = not error.transient
            more = ", and no other will be tried" if self._refused else ""
            self._say(f"a checkpoint could not be written{more}: {error}")
