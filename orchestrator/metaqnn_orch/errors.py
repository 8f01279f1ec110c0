"""The whole error tree of the orchestrator. Third-party errors are turned into it once, where they are caught.

OrchestratorError                 exit 1
├── RunFailed                              no trial ever worked, or too many were abandoned
├── PluginFailed                  exit 2   a plug-in raised an error that is none of ours; the run stays as it was
│   ├── SearcherFailed                     the searcher did so, or proposed nonsense
│   └── SpaceFailed                        the space did so, or returned nonsense
├── BadInput                      exit 2   what the caller typed or wrote: nothing was created
│   ├── SettingsError                      a settings file, a --set, an environment variable
│   │   └── PluginsMissing                 a run needs plug-ins that are not installed here
│   ├── RunConflict                        a run of this name exists with other settings
│   └── NotFound                           a run, a trial or a dataset does not exist
├── JournalError                  exit 3   the journal is damaged: gaps, foreign or future entries
├── RunHeld                       exit 4   another orchestrator holds the run, or took it over
└── LauncherError                 exit 6   no trial can be launched here
    └── ClusterError                       the Kubernetes API did not do what was asked

Two trees are shared with the trainer, and stand beside it:

StoreError                        exit 5   the object store did not do what was asked (metaqnn_trainer.store.errors);
                                           exit 2 where this machine has no keys for it
├── ObjectMissing                          no object under this key
└── KeysRefused               exit 2       the store did not know the keys of a search that was to begin
ContractError                     exit 2   bad input: a message, a net, an address (metaqnn_trainer.contract.errors)
"""

from __future__ import annotations

from typing import Final

from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.contract.text import one_line as one_line
from metaqnn_trainer.contract.text import redacted as redacted
from metaqnn_trainer.store.errors import NO_CREDENTIALS
from metaqnn_trainer.store.errors import ObjectMissing as ObjectMissing
from metaqnn_trainer.store.errors import StoreError as StoreError


class OrchestratorError(Exception):
    """Root of the tree. `str()` is one line with cause and evidence; `hint` is what to do, if that is known."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RunFailed(OrchestratorError):
    """No trial ever worked, or too many were abandoned, so that going on would waste machines."""


class PluginFailed(OrchestratorError):
    """A plug-in raised an error that is none of ours. The message names its kind, name and distribution."""

    exit_code = 2


class SearcherFailed(PluginFailed):
    """The searcher raised an error that is none of ours, or proposed what cannot be trained."""


class SpaceFailed(PluginFailed):
    """The space raised an error that is none of ours, or returned what its interface does not allow."""


class BadInput(OrchestratorError):
    """The caller's input cannot be used."""

    exit_code = 2


class SettingsError(BadInput):
    """A setting is unknown, of the wrong type, or contradicts another."""


class PluginsMissing(SettingsError):
    """A run needs plug-ins that are not installed here, in these versions. The run is whole."""


class RunConflict(BadInput):
    """A run of this name exists with other settings. The message carries the differences, one a line."""


class NotFound(BadInput):
    """A run, a trial or a dataset does not exist."""


class JournalError(OrchestratorError):
    """The journal cannot be followed. The message names the object and the last good one."""

    exit_code = 3


class RunHeld(OrchestratorError):
    """Another orchestrator holds this run, or took it over. Nothing was changed."""

    exit_code = 4


class LauncherError(OrchestratorError):
    """No trial can be launched here."""

    exit_code = 6


class KeysRefused(StoreError):
    """The store does not know the keys with which a search was to begin, or to go on: nothing was created. The same
    keys would be refused again, so a search in the cluster is not tried again.
    """


class ClusterError(LauncherError):
    """The Kubernetes API did not do what was asked. The message names the call and the cause.

    `status` is the HTTP status, 0 where the answer was incomplete: then it is unknown whether a write happened.
    """

    def __init__(
        self, message: str, hint: str = "", *, status: int = 0, reason: str = "", retry_after: float = 0.0
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason
        """The reason in the API's word, such as AlreadyExists."""
        self.retry_after = retry_after
        """Seconds that the API asked to wait."""

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed a little later, although nobody changes anything."""
        return self.status in (0, 408, 410, 429) or self.status >= 500 or self.reason == "Conflict"


KNOWN: Final = (OrchestratorError, StoreError, ContractError)
"""Every error with a message for the user and an exit code; any other exception is a fault of the program."""


def exit_code(error: BaseException) -> int:
    """The exit code of a process that ends with one of the KNOWN errors."""
    match error:
        case OrchestratorError():
            return error.exit_code
        case StoreError():
            return 2 if isinstance(error, KeysRefused) or error.code == NO_CREDENTIALS else 5
        case ContractError():
            return 2
        case _:
            return 1
