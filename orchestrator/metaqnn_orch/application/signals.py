"""Signals that ask the program to stop: Ctrl-C (SIGINT), SIGTERM, and SIGHUP, which comes when its terminal closes.

A search handles them itself (stopping.py). Every other command is ended by an exception, so that it can clean up.
The exit code is 128 plus the signal's number. Only the standard library is needed here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Protocol, TypeVar

from metaqnn_trainer.signals import can_be_heard, unbroken


class Stopped(SystemExit):
    """SIGTERM or SIGHUP came: the process ends as if the signal had ended it, but only after its clean-up."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number).name


def ctrl_c_arrives() -> bool:
    """Whether Ctrl-C in a terminal may reach this process. It reaches none that leads a session without a terminal, as
    a search in the background and the first process of a Pod do.
    """
    leads = os.getsid(0) == os.getpid()
    return not leads or (sys.stdin is not None and sys.stdin.isatty())


def raise_when_stopped() -> None:
    """Have SIGTERM and SIGHUP raise Stopped from now on, as Ctrl-C raises KeyboardInterrupt."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if can_be_heard(number):
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt at once inside the block, even where an event loop would delay it."""
    if not can_be_heard(signal.SIGINT):
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


@contextmanager
def surely_closing(thing: T) -> Iterator[T]:
    """contextlib.closing, in which no signal can come between opening and closing."""
    try:
        yield thing
    finally:
        with unbroken():
            thing.close()


E = TypeVar("E")


@contextmanager
def surely(make: Callable[[], AbstractContextManager[E]]) -> Iterator[E]:
    """The context that `make` makes. No signal comes between its making and the block, so it is left whenever it was
    made: a process that it started is not forgotten.
    """
    with ExitStack() as stack:
        with unbroken():
            entered = stack.enter_context(make())
        yield entered
