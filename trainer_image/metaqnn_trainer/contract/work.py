"""The messages between a launcher and processes that train several nets: workers, which exchange them line by line, and
bundles, which write their progress to the store.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from metaqnn_trainer.contract.bounds import Attempt, Seconds
from metaqnn_trainer.contract.codec import SCHEMA, Message
from metaqnn_trainer.contract.keys import NAME_PATTERN, TRIAL_PATTERN

MAX_BUNDLE: Final = 100
"""Trials in a bundle, at most. Even of nets that train for 5 s, a start of 10 s is then 2 % of the time."""


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
    device: str = Field("", max_length=200)
    """The device that it trains on, as in its results; empty if the worker does not say."""
    unused: str = Field("", max_length=1000)
    """Why a GPU that is there cannot be used, in words; empty where one can, or there is none."""


class WorkReport(Message):
    """Every further line from a worker: the end of an order, as the exit code that a process of its own would have."""

    trial: str = Field(pattern=TRIAL_PATTERN)
    exit_code: int = Field(ge=0, le=255)
    reason: str = Field("", max_length=2000)


class OrderEnd(Message):
    """An order of a bundle that has ended, and after which the bundle went on."""

    trial: str = Field(pattern=TRIAL_PATTERN)
    attempt: Attempt
    exit_code: int = Field(ge=0, le=255)
    """The exit code that a process of its own would have."""
    reason: str = Field("", max_length=2000)
    """Why it ended without a result, in one line."""
    seconds: Seconds = 0.0
    """Seconds that it took."""


class BundleProgress(Message):
    """bundle-ID.json: the orders of a bundle that have ended. It is written before the first order begins, and again
    after each one.
    """

    schema_version: Literal[1] = SCHEMA
    ended: tuple[OrderEnd, ...] = Field((), max_length=MAX_BUNDLE)
