"""A search whose progress goes to a log, for programs: it is quiet unless the program has set up logging."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from metaqnn_orch.application.listener import LiveRun, Tone, introduction
from metaqnn_orch.application.waits import Waits
from metaqnn_orch.control.events import Abandoned, Event, Failed, Opened, Released, Shortlisted, Told
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState

LOG: Final = logging.getLogger("metaqnn_orch")
_LEVELS: Final = {Tone.PLAIN: logging.INFO, Tone.ASIDE: logging.DEBUG, Tone.CAUTION: logging.WARNING}


class Logged:
    """A listener that logs. Where no logging was set up, Python shows warnings on standard error, and nothing else."""

    def say(self, line: str, tone: Tone = Tone.PLAIN) -> None:
        LOG.log(_LEVELS[tone], "%s", line)

    @contextmanager
    def follow(self, run: LiveRun) -> Iterator[_LoggedRun]:
        yield _LoggedRun(run.record, run.state)


class _LoggedRun:
    def __init__(self, record: RunRecord, state: RunState) -> None:
        self._record = record
        self._state = state
        self._waits = Waits(lambda text: LOG.warning("waiting: %s", text), lambda: LOG.info("going on"))

    def recall(self, events: Sequence[Event]) -> None:
        LOG.info("%s", introduction(self._record, self._state))

    def happened(self, event: Event) -> None:
        match event:
            case Opened():
                self.recall([])
            case Told(trial=trial, status=status, reward=reward):
                LOG.info("trial %s: %s, %.4f, %s", trial, status, reward, self._state.trials[trial].net)
            case Shortlisted(trials=trials, repeats=repeats) if trials:
                LOG.info("confirming the best %d, each trained %d times more", len(trials), repeats)
            case Failed(trial=trial, attempt=attempt, kind=kind, detail=detail):
                LOG.info("trial %s, attempt %d, %s: %s", trial, attempt, kind, detail)
            case Released(why=why):
                LOG.info("the brake is released: %s", why)
            case Abandoned(trial=trial):
                LOG.warning("trial %s is abandoned: %s", trial, self._state.trials[trial].net)

    def trouble(self, text: str) -> None:
        self._waits.trouble(text)

    def silence(self, text: str) -> None:
        if text:
            LOG.warning("waiting: %s", text)
        else:
            LOG.info("the store answers again")

    def refresh(self) -> None:
        self._waits.refresh()
