"""The trainer's error tree. Each class says how the process ends; the text is one line with cause and evidence.

TrainerError
├── RequestError      exit BAD_REQUEST   the request cannot be read, or asks for what cannot be built
├── DatasetError      exit DATASET       a dataset, or what one is to be made of, is missing or not what it should be
├── DeviceError       exit DEVICE        a GPU was asked for and none is usable, or it failed
├── HostMemoryError   exit HOST_MEMORY   the machine's own memory did not suffice, and no net is to blame
├── Preempted         exit PREEMPTED     asked to stop; what was done so far is in a checkpoint
├── CheckpointError                      a checkpoint cannot be gone on from; training begins anew
└── ExchangeError     exit STORE         the object store did not do what was asked
    └── ObjectMissing                    no object under this key
"""

from __future__ import annotations

from typing import ClassVar

from metaqnn_trainer.contract.messages import ExitCode


def one_line(error: BaseException | str) -> str:
    """An error's text, printable, and cut to a length that a line and a message can have."""
    text = " ".join(str(error).split())
    return "".join(character if character.isprintable() else "?" for character in text[:500])


class TrainerError(Exception):
    """Root of the tree."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class RequestError(TrainerError):
    """The request cannot be read, or asks for what cannot be built."""

    exit_code = ExitCode.BAD_REQUEST


class DatasetError(TrainerError):
    """A dataset, or what one is to be made of, is missing or not what it should be."""

    exit_code = ExitCode.DATASET


class DeviceError(TrainerError):
    """A GPU was asked for and none is usable, or it failed."""

    exit_code = ExitCode.DEVICE


class HostMemoryError(TrainerError):
    """The machine's own memory did not suffice, and no net is to blame."""

    exit_code = ExitCode.HOST_MEMORY


class Preempted(TrainerError):
    """Asked to stop; what was done so far is in a checkpoint."""

    exit_code = ExitCode.PREEMPTED


class CheckpointError(TrainerError):
    """A checkpoint cannot be gone on from."""


class ExchangeError(TrainerError):
    """The object store did not do what was asked. The message names the object and the cause."""

    exit_code = ExitCode.STORE


class ObjectMissing(ExchangeError):
    """No object under this key."""
