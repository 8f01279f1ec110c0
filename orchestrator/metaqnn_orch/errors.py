"""The whole error tree of the orchestrator. Third-party errors are renamed into it once, at the edge that met them.

OrchestratorError                 exit 1
├── RunFailed                              nothing of the run ever worked
├── BadInput                      exit 2   what the caller typed or wrote: nothing was created
│   ├── SettingsError                      a settings file, a --set, an environment variable
│   ├── RunConflict                        a run of this name exists with other settings
│   └── NotFound                           a run, a trial, a dataset that is not there
├── JournalError                  exit 3   the journal is damaged: gaps, foreign or future entries
├── RunHeld                       exit 4   another orchestrator holds the run, or took it over
├── StoreError                    exit 5   the object store did not do what was asked
│   └── ObjectMissing                      no object under this key
└── LauncherError                 exit 6   nothing can be launched here
    └── ClusterError                       the Kubernetes API did not do what was asked

Errors of the contract (metaqnn_trainer.contract.errors.ContractError) are bad input too: exit 2.
"""

from __future__ import annotations

import re
from typing import Final

_TERMINAL_COMMAND: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
_SECRET: Final = (
    r"password|passwd|passphrase|(?<!store_)secret|token|signature|credential|(?:api|access|private)[_-]?key"
)
_SECRETS: Final = (  # each is bounded, so that a megabyte without a space takes no time
    # User info of a URL; what follows a colon may hold slashes, unless it is a port.
    (re.compile(r"//(?:[^/\s]{1,500}|[^/\s:@]{0,200}:(?!\d+/)[^\s@]{0,500})@"), "//***@"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S), "***"),
    (re.compile(r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?)[^\s\"',;]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer\s+)[^\s\"',;]{6,}"), r"\1***"),
    (re.compile(r"\b([Bb]asic\s+)(?=\S{0,99}?(?:[a-z][A-Z]|\d|=))[A-Za-z0-9+/]{6,}=*"), r"\1***"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}(?:\.[\w-]+)+"), "***"),  # a JSON web token
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), "***"),
    # name=value, "name": "value"; and name: value, where the value does not look like a word.
    (re.compile(rf"(?i)((?:{_SECRET})[\w.-]{{0,40}}[\"']?\s*(?:=\s*[\"']?|:\s*[\"']))[^\s\"',;&]+"), r"\1***"),
    (re.compile(rf"(?i)((?:{_SECRET})[\w.-]{{0,40}}:\s*)(?=\S{{0,99}}?\d)[^\s\"',;&]{{6,}}"), r"\1***"),
    (re.compile(r"(?i)(\bpass(?:word|wd|phrase):\s*)[^\s\"',;&]+"), r"\1***"),
)


class OrchestratorError(Exception):
    """Root of the tree. `str()` is one line with cause and evidence; `hint` is what to do, if anything is known."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RunFailed(OrchestratorError):
    """Nothing of the run ever worked, so that going on would burn machines."""


class BadInput(OrchestratorError):
    """What the caller typed or wrote cannot be used."""

    exit_code = 2


class SettingsError(BadInput):
    """A setting is unknown, of the wrong type, or contradicts another."""


class RunConflict(BadInput):
    """A run of this name exists with other settings. The message carries the differences, one a line."""


class NotFound(BadInput):
    """A run, a trial or a dataset that is not there."""


class JournalError(OrchestratorError):
    """The journal cannot be followed. The message names the object and the last good one."""

    exit_code = 3


class RunHeld(OrchestratorError):
    """Another orchestrator holds this run, or took it over. Nothing was changed."""

    exit_code = 4


class StoreError(OrchestratorError):
    """The object store did not do what was asked. The message names the store, the key and the cause.

    `transient`: the same call may well succeed a little later. Whether a failed write happened is not known.
    """

    exit_code = 5

    def __init__(self, message: str, hint: str = "", *, transient: bool = False) -> None:
        super().__init__(message, hint)
        self.transient = transient


class ObjectMissing(StoreError):
    """No object under this key."""


class LauncherError(OrchestratorError):
    """Nothing can be launched here."""

    exit_code = 6


class ClusterError(LauncherError):
    """The Kubernetes API did not do what was asked. The message names the call and the cause.

    `status` is the HTTP status, 0 where there was no whole answer: whether a write happened is not known then.
    """

    def __init__(
        self, message: str, hint: str = "", *, status: int = 0, reason: str = "", retry_after: float = 0.0
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason
        """In the API's own word, as AlreadyExists."""
        self.retry_after = retry_after
        """Seconds that the API asked for."""

    @property
    def transient(self) -> bool:
        """The same call may well succeed a little later, without anybody doing anything."""
        return self.status in (0, 408, 410, 429) or self.status >= 500 or self.reason == "Conflict"


def redacted(text: str) -> str:
    """`text` with *** for what looks like a secret: passwords in URLs, tokens, keys of AWS, private keys."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text as one readable line: no control characters, no secret, its middle left out if longer than `limit`
    characters. What another program wrote may hold anything, and is printed to a terminal."""
    plain = _TERMINAL_COMMAND.sub("", text)
    visible = "".join(letter if letter.isprintable() else " " for letter in plain)
    line = " ".join(redacted(" ".join(visible.split())).split())
    if len(line) <= limit:
        return line
    kept = limit - 3
    return line[: kept // 2] + "..." + line[len(line) - (kept - kept // 2) :]
