"""The trainer's error tree. Each class says how the process ends; the text is one line with cause and evidence.

TrainerError
├── RequestError      exit BAD_REQUEST   the request cannot be read, or asks for a net that cannot be built
├── MeasureError      exit BAD_REQUEST   a measure or the reward of a net is no finite number
├── RunFault          exit UNEQUIPPED    what every net of the run asks for cannot be done
├── PluginFault       exit INTERNAL      a plug-in failed while it was used
├── DatasetError      exit DATASET       a dataset, or its source, is missing or not what it should be
├── DeviceError       exit DEVICE        a GPU was asked for and none is usable, or it failed
├── HostMemoryError   exit HOST_MEMORY   the machine's own memory did not suffice, and no net is to blame
├── Preempted         exit PREEMPTED     asked to stop; the work done so far is in a checkpoint
├── Settled           exit DELIVERED     another attempt has delivered the result: there is no work left
└── CheckpointError                      training cannot go on from a checkpoint, and begins anew

Two trees are shared with the orchestrator, and stand beside it:

StoreError            exit STORE         the object store is away: ask again later (store.errors)
                      exit STORE_REFUSED it refuses for good, or stays full
ContractError         exit BAD_REQUEST   a message, a net, a store's address (contract.errors)
                      exit UNEQUIPPED    a plug-in, a kind of layer or a field that is not known here
"""

from __future__ import annotations

from typing import ClassVar, Final

from metaqnn_trainer.contract.errors import ContractError, PluginError, UnknownField, UnknownLayer
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.store.errors import StoreError


class TrainerError(Exception):
    """Root of the tree."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class RequestError(TrainerError):
    """The request cannot be read, or asks for a net that cannot be built."""

    exit_code = ExitCode.BAD_REQUEST


class RunFault(TrainerError):
    """What every net of the run asks for cannot be done: an option of the task is wrong, or its designs, or its data,
    are not such as the task trains. No net is to blame.
    """

    exit_code = ExitCode.UNEQUIPPED


class MeasureError(TrainerError):
    """A measure or the reward of a sound net is no finite number: it would be the same at the next attempt."""

    exit_code = ExitCode.BAD_REQUEST


class PluginFault(TrainerError):
    """A plug-in failed while it was used, perhaps for this net alone; the text names the plug-in."""


class DatasetError(TrainerError):
    """A dataset, or its source, is missing or not what it should be."""

    exit_code = ExitCode.DATASET


class DeviceError(TrainerError):
    """A GPU was asked for and none is usable, or it failed."""

    exit_code = ExitCode.DEVICE


class HostMemoryError(TrainerError):
    """The machine's own memory did not suffice, and no net is to blame."""

    exit_code = ExitCode.HOST_MEMORY


class Preempted(TrainerError):
    """The trainer was asked to stop; the work done so far is in a checkpoint."""

    exit_code = ExitCode.PREEMPTED


class Settled(TrainerError):
    """Another attempt has delivered the result: there is no work left."""

    exit_code = ExitCode.DELIVERED


class CheckpointError(TrainerError):
    """Training cannot go on from a checkpoint."""


KNOWN: Final = (TrainerError, StoreError, ContractError)
"""Every error with a message for the user and an exit code; any other exception is a fault of the program."""


def in_words(error: BaseException) -> str:
    """What happened and, where it is known, what to do: one line, cut to a readable length."""
    hint = getattr(error, "hint", "")
    return one_line(f"{error} ({hint})" if hint else str(error), 600)


def exit_code(error: BaseException) -> ExitCode:
    """The exit code of a process that ends with one of the KNOWN errors."""
    match error:
        case TrainerError():
            return error.exit_code
        case StoreError():
            return ExitCode.STORE if error.transient else ExitCode.STORE_REFUSED
        case PluginError() | UnknownLayer() | UnknownField():
            return ExitCode.UNEQUIPPED
        case ContractError():
            return ExitCode.BAD_REQUEST
        case _:
            return ExitCode.INTERNAL
