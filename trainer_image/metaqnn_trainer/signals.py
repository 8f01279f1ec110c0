"""Signals that ask a program to stop, and work that they must not cut. Only the standard library is needed here."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Final

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Insisted = Callable[[], bool]


def can_be_heard(number: int) -> bool:
    """Whether a handler may be set here. Python calls handlers in the main thread alone, and a signal that was ignored
    when the program began (SIGHUP under nohup) stays ignored.
    """
    ignored = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
    return current_thread() is main_thread() and not ignored and signal.getsignal(number) is not None


@contextmanager
def unbroken() -> Iterator[Insisted]:
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
        yield lambda: len(received) > 1
    finally:
        restore()
        if len(received) == 1:
            signal.raise_signal(received[0])
