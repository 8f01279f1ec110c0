"""Reads how far the trainers of bundles are, from the store, in threads of its own: nobody waits for the store.

What was read once stays known. Two Pods of a Job may overlap for a moment, and the older one may write last.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.kubernetes.bundles import NO_PROGRESS, KnownProgress
from metaqnn_orch.launchers.kubernetes.names import Identity
from metaqnn_orch.launchers.kubernetes.supervision import Crew
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.work import BundleProgress
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import ObjectMissing

THREADS: Final = 4
LOOK_SECONDS: Final = 1.0  # seconds between two looks at the progress of a Job whose trainer runs
FIRST_PAUSE: Final = 0.5  # seconds after a failure


class Look(NamedTuple):
    """A bundle whose progress is wanted."""

    bundle: str
    trials: tuple[Identity, ...]
    runs: bool
    """Whether its trainer runs: then its progress is read again and again."""
    is_over: bool
    """Whether its trainer has ended: then its progress is read once more."""


@dataclass(eq=False)
class _Watched:
    look: Look
    due: float = 0.0
    under_way: bool = False
    known: KnownProgress = NO_PROGRESS

    @property
    def is_wanted(self) -> bool:
        known = self.known
        wanted = self.look.runs or not known.is_read or (self.look.is_over and not known.is_final)
        return wanted and not self.under_way


class ProgressReader(Crew):
    """The progress of the bundles of one run, by the uids of their Jobs. Safe to use from many threads."""

    def __init__(self, store: Store, run: str, on_change: Callable[[], None], look_seconds: float) -> None:
        """`on_change` is called when more is known."""
        super().__init__("progress", THREADS, FIRST_PAUSE)
        self._store = store
        self._run = run
        self._on_change = on_change
        self._look_seconds = look_seconds
        # _changed guards everything below.
        self._watched: dict[str, _Watched] = {}
        self._superfluous: deque[str] = deque()

    def look_at(self, looks: Mapping[str, Look]) -> None:
        """Look at these bundles from now on, and at no others."""
        with self._changed:
            for uid in self._watched.keys() - looks.keys():
                del self._watched[uid]
            for uid, look in looks.items():
                watched = self._watched.setdefault(uid, _Watched(look))
                if watched.look.is_over != look.is_over:
                    watched.due = 0.0
                    watched.known = watched.known._replace(is_final=False)
                watched.look = look
            if any(watched.is_wanted and not watched.due for watched in self._watched.values()):
                self._changed.notify()

    def of(self, uid: str) -> KnownProgress:
        """What is known of the progress of this Job's bundle."""
        with self._changed:
            watched = self._watched.get(uid)
            return watched.known if watched is not None else NO_PROGRESS

    def remove(self, bundle: str) -> None:
        """Have the progress of a bundle removed, whose Job is deleted. If that fails, `gc` does it."""
        with self._changed:
            self._superfluous.append(bundle)
            self._changed.notify()

    def _work(self) -> bool:
        match task := self._next():
            case None:
                return False
            case str():
                self._store.delete(keys.bundle(self._run, task))
            case _:
                self._read(task)
        self._mishaps.clear()
        return True

    def _next(self) -> _Watched | str | None:
        with self._changed:
            while True:
                if self._superfluous:
                    return self._superfluous.popleft()
                if self._closing.is_set():
                    return None
                wanted = [watched for watched in self._watched.values() if watched.is_wanted]
                first = min(wanted, key=lambda watched: watched.due, default=None)
                now = time.monotonic()
                if first is not None and first.due <= now:
                    first.under_way = True
                    return first
                self._changed.wait(min(1.0, first.due - now) if first is not None else 1.0)

    def _read(self, watched: _Watched) -> None:
        look, pause = watched.look, self._look_seconds
        found = watched.known
        try:
            found = self._found(look, found)
        except Exception as error:
            pause = self._mishaps.add(error)
            found = found._replace(trouble=one_line(str(error)))
        finally:
            with self._changed:
                changed = found != watched.known
                watched.known, watched.under_way = found, False
                watched.due = time.monotonic() + pause if watched.look.is_over == look.is_over else 0.0
        if changed:
            self._on_change()

    def _found(self, look: Look, known: KnownProgress) -> KnownProgress:
        """What is known after one more look.

        Raises:
            StoreError: the store did not answer.
        """
        try:
            progress = read(BundleProgress, self._store.get, keys.bundle(self._run, look.bundle))
        except ObjectMissing:
            return known._replace(is_read=True, is_final=look.is_over, trouble="")
        except MessageError as error:  # then the results alone say what has ended
            said = one_line(str(error))
            return known._replace(is_read=True, heard=True, is_final=look.is_over, trouble=said)
        ours = {(one.trial, one.attempt): one for one in look.trials}
        ends = {ours[end.trial, end.attempt]: end for end in progress.ended if (end.trial, end.attempt) in ours}
        return KnownProgress({**ends, **known.ended}, is_read=True, heard=True, is_final=look.is_over)
