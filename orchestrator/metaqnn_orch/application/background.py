"""A search in a thread of its own, with a handle for the program that began it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from metaqnn_orch.control.surroundings import Stop

Ended = TypeVar("Ended")


class Running(Generic[Ended]):
    """A search that goes on in the background.

    It ends with the program, in order: the state is saved after every trial, and the same call goes on.
    """

    def __init__(
        self,
        run: str,
        work: Callable[[Callable[[], Stop]], Ended],
        status: Callable[[], dict[str, Any]],
        show: Callable[[], str],
    ) -> None:
        """`work` is called in the thread, with a function that says whether the search is asked to stop. `status` and
        `show` are the status of the run, as fields and as HTML.
        """
        self.run = run
        self._work = work
        self._status = status
        self._show = show
        self._asked = Stop.NO
        self._ended: Ended | None = None
        self._error: BaseException | None = None
        self._over = Event()
        self._thread = Thread(target=self._go, name=f"search {run}")
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the search has ended, however it did."""
        return self._over.is_set()

    @property
    def status(self) -> dict[str, Any]:
        """The fields of `metaqnn-orch status -o json`; before the run exists, its name and the state `beginning`."""
        return self._status()

    def stop(self, *, now: bool = False) -> None:
        """Ask the search to stop: when the trials in training have ended, or `now`. Returns at once; `wait` waits."""
        self._asked = Stop.NOW if now else Stop.DRAIN

    def wait(self, timeout: float | None = None) -> Ended:
        """Wait for the end, and return the run in its state then. If this call is interrupted, the search goes on.

        Raises:
            TimeoutError: it goes on after `timeout` seconds.
            Exception: whatever ended the search, as `Search.start` says.
        """
        if not self._over.wait(timeout):
            raise TimeoutError(f"run {self.run} goes on after {timeout:g} s")
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._ended is not None
        return self._ended

    def _go(self) -> None:
        try:
            self._ended = self._work(lambda: self._asked)
        except BaseException as error:
            self._error = error
        finally:
            self._over.set()

    def __repr__(self) -> str:
        return f"<Running {self.run}: {'failed' if self._error else 'ended' if self.done else 'searching'}>"

    def _repr_html_(self) -> str:
        return self._show()
