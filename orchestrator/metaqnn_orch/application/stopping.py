"""How signals stop a search, and what the person is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from threading import main_thread
from types import FrameType
from typing import Any

from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.control.surroundings import Stop
from metaqnn_trainer.signals import STOPS, can_be_heard


class Signals:
    """Counts the signals that stop a search.

    One Ctrl-C asks the loop to finish the trials that run. A second one, SIGTERM and SIGHUP ask it to leave at once.
    Where trials outlive the orchestrator there is nothing to wait for, and one Ctrl-C is enough to leave.

    A search outside of the main thread hears no signal, because Python gives signals to the main thread only. It leaves
    when the main thread has ended, because the process could not end before.
    """

    def __init__(self, say: Say, trials_outlive_us: bool = False, asked: Callable[[], Stop] = lambda: Stop.NO) -> None:
        """`asked` says whether a program asks the search to stop, as a signal would."""
        self._say = say
        self._outlived = trials_outlive_us
        self._asked = asked
        self._received: list[int] = []
        self._announced = Stop.NO
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in STOPS:
            if can_be_heard(number):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def heard(self) -> int:
        """How many signals came."""
        return len(self._received)

    @property
    def first(self) -> int:
        return self._received[0] if self._received else 0

    def stop(self) -> Stop:
        wanted = self._asked() if main_thread().is_alive() else Stop.NOW
        if wanted is Stop.DRAIN and self._outlived:
            wanted = Stop.NOW
        if self._received:
            wanted = Stop.DRAIN if self._received == [signal.SIGINT] and not self._outlived else Stop.NOW
        if wanted is not self._announced:
            # The loop says it, and not the handler, which may have interrupted another line.
            self._say(
                "stopping: waiting for the trials in training; Ctrl-C again leaves at once"
                if wanted is Stop.DRAIN
                else "leaving: the trials in training go on, and the same command finds their results"
                if self._outlived
                else "stopping at once" + (": the terminal was closed" if signal.SIGHUP in self._received else ""),
                Tone.CAUTION,
            )
            self._announced = wanted
        return wanted

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake up early when a signal comes."""
        heard, end = (self._asked(), self.heard), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (self._asked(), self.heard) == heard:
            time.sleep(min(left, 0.1))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)
