"""What a process does before its first trial: it imports torch, and meanwhile reads what that trial begins with.

Nothing here imports torch.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.fetching import Content, Opened, fetch_dataset, patient_store, read_request
from metaqnn_trainer.progress import of_trial
from metaqnn_trainer.store.base import Store

T = TypeVar("T")


@contextmanager
def lasting_imports() -> Iterator[None]:
    """A block that imports torch, and what else stays until the process ends.

    Torch makes half a million objects. The garbage collector looks through them again and again, while they are made
    and once more when the process ends: this is a third of what the import costs, and finds next to nothing. So it is
    switched off in the block, and never looks at them afterwards.
    """
    if "torch" in sys.modules or not gc.isenabled():  # it is somebody else's process
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Ahead:
    """Reads from a store that were begun before they are needed. The result of each is given out once: whoever asks
    again reads again.
    """

    def __init__(self) -> None:
        """Nothing is begun."""
        self._begun: dict[Hashable, Future[Any]] = {}

    @classmethod
    def of(cls, order: WorkOrder, cache: DatasetCache | None = None, opened: Opened = patient_store) -> Ahead:
        """Open the order's store; then a thread reads the request, and the dataset object that it names. Errors are
        raised where the results are asked for.
        """
        ahead = cls()
        store: Future[Store] = ahead._promise(order.store)
        # Not in the thread: two threads that import much at once may each see half of what the other imports.
        _settle(store, opened, order.store)
        if store.exception() is None:
            request: Future[TrainingRequest] = ahead._promise((order.run, order.trial))
            Thread(target=ahead._read, args=(order, store.result(), cache, request), daemon=True).start()
        return ahead

    def get(self, what: Hashable, read: Callable[[], T]) -> T:
        """What was begun under this name, or else the result of `read`.

        Raises:
            Exception: whatever reading it raised.
        """
        begun = self._begun.pop(what, None)
        if begun is None:
            return read()
        found: T = begun.result()
        return found

    def _promise(self, what: Hashable) -> Future[Any]:
        return self._begun.setdefault(what, Future())

    def _read(
        self, order: WorkOrder, store: Store, cache: DatasetCache | None, request: Future[TrainingRequest]
    ) -> None:
        with of_trial(order.trial):
            try:
                found = read_request(store, order.run, order.trial)
            except BaseException as error:
                request.set_exception(error)
                return
            dataset: Future[Content] = self._promise(found.spec.dataset)  # before anybody can ask for it
            request.set_result(found)
            _settle(dataset, fetch_dataset, store, found.spec.dataset, cache)


def _settle(future: Future[T], work: Callable[..., T], *arguments: Any) -> None:
    """Give the future the result of `work`, or its error."""
    try:
        future.set_result(work(*arguments))
    except BaseException as error:
        future.set_exception(error)
