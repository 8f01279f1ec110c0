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
from threading import current_thread, main_thread
from types import FrameType
from typing import Final, Protocol, TypeVar

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """SIGTERM or SIGHUP came: the process ends as if the signal had ended it, but only after its clean-up."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number).name


def can_be_heard(number: int) -> bool:
    """Whether a handler may be set here. Python calls handlers in the main thread alone, and a signal that was ignored
    when the program began (SIGHUP under nohup) stays ignored.
    """
    ignored = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
    return current_thread() is main_thread() and not ignored and signal.getsignal(number) is not None


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


@contextmanager
def unbroken() -> Iterator[None]:
    """Hold signals back until the block has ended, unless one comes twice. It is for work that must be done whole, and
    that is done soon unless a store does not answer.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, receive) for number in STOPS if can_be_heard(number)}
    try:
        yield
    finally:
        restore()
        if len(received) == 1:
            signal.raise_signal(received[0])


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
