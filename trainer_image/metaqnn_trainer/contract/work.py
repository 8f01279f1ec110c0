"""The messages between a launcher and its workers, one per line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metaqnn_trainer.contract.bounds import Attempt
from metaqnn_trainer.contract.codec import Message
from metaqnn_trainer.contract.keys import NAME_PATTERN, TRIAL_PATTERN


class WorkOrder(Message):
    """One line to a worker's standard input: the trial whose request it is to read."""

    store: str = Field(max_length=4096)
    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: Attempt


class WorkerReady(Message):
    """The first line from a worker's standard output: everything is loaded, and if the worker ends now, an order is the
    cause.
    """

    ready: Literal[True]


class WorkReport(Message):
    """Every further line from a worker: the end of an order, as the exit code that a process of its own would have."""

    trial: str = Field(pattern=TRIAL_PATTERN)
    exit_code: int = Field(ge=0, le=255)
    reason: str = Field("", max_length=2000)
