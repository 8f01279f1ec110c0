"""What a launcher and its workers say to each other, a line at a time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metaqnn_trainer.contract.bounds import Attempt
from metaqnn_trainer.contract.codec import Message
from metaqnn_trainer.contract.keys import NAME_PATTERN, TRIAL_PATTERN


class WorkOrder(Message):
    """One line to a worker's standard input: where the request lies."""

    store: str = Field(max_length=4096)
    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: Attempt


class WorkerReady(Message):
    """The first line from a worker's standard output: everything is loaded, what ends it now is an order's doing."""

    ready: Literal[True]


class WorkReport(Message):
    """Every further line: an order's end, as the exit code of its own process would say it."""

    trial: str = Field(pattern=TRIAL_PATTERN)
    exit_code: int = Field(ge=0, le=255)
    reason: str = Field("", max_length=2000)
