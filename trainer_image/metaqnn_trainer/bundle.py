"""Trains a bundle: several trials in one process, one after another, so that it starts, and reads the dataset, once.

Each result is delivered as soon as it is ready. The bundle's progress is an object of the store: which orders have
ended, and how. It is written before torch is imported, which tells the orchestrator that this trainer knows bundles. A
process that takes the place of a lost one reads it, and goes on with the first order that has not ended.

The process goes on after an order only if its end says nothing of the process, its device and its machine. Every other
end is the process's own, and the orders that it has not begun are nobody's: they are ordered again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Final

from metaqnn_trainer.contract.codec import encode, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import BundleProgress, OrderEnd, WorkOrder, WorkReport
from metaqnn_trainer.progress import of_trial, say
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import ObjectMissing

GOES_ON: Final = (ExitCode.DELIVERED, ExitCode.BAD_REQUEST, ExitCode.STORE_REFUSED)
"""The ends of an order that say something of its own net alone."""

CarryOut = Callable[[WorkOrder], WorkReport]


def leave(order: WorkOrder, limit: float) -> None:
    """End the process at once, because an order did not end by itself."""
    with of_trial(order.trial):
        say(f"it ran for more than {limit:g} s, and did not stop by itself")
    sys.stderr.flush()
    os._exit(ExitCode.INTERNAL)


def train_bundle(
    store: Store,
    key: str,
    orders: Sequence[WorkOrder],
    prepare: Callable[[WorkOrder], CarryOut],
    stopped: Callable[[], bool],
    limit: float | None = None,
    leave: Callable[[WorkOrder, float], None] = leave,
) -> WorkReport | None:
    """Carry out the orders, except those that have ended according to the progress under `key`.

    `prepare` is called with the first order, imports what training needs, and returns the function that carries out an
    order. `stopped` says whether the process was asked to stop. After `limit` seconds of one order, `leave` is called
    with it, from another thread.

    Returns the report with which the process ends; None if it went through all orders.

    Raises:
        StoreError: the progress cannot be read or written.
    """
    ended = _read(store, key)
    store.put(key, encode(BundleProgress(ended=tuple(ended))))
    over = {(end.trial, end.attempt) for end in ended}
    left = [order for order in orders if (order.trial, order.attempt) not in over]
    if not left:
        return None
    carry_out = prepare(left[0])
    for order in left:
        if stopped():
            return WorkReport(trial=order.trial, exit_code=ExitCode.PREEMPTED, reason="asked to stop between two nets")
        began = time.monotonic()
        with _limited(order, limit, leave):
            report = carry_out(order)
        if report.exit_code not in GOES_ON:
            return report
        if report.exit_code:
            with of_trial(order.trial):
                say(report.reason)
        seconds = time.monotonic() - began
        ended.append(
            OrderEnd(
                trial=order.trial,
                attempt=order.attempt,
                exit_code=report.exit_code,
                reason=report.reason,
                seconds=seconds,
            )
        )
        store.put(key, encode(BundleProgress(ended=tuple(ended))))
    return None


def _read(store: Store, key: str) -> list[OrderEnd]:
    """The ends so far; none if there is no progress, or none that can be read."""
    with suppress(ObjectMissing, MessageError):
        return [*read(BundleProgress, store.get, key).ended]
    return []


@contextmanager
def _limited(order: WorkOrder, limit: float | None, leave: Callable[[WorkOrder, float], None]) -> Iterator[None]:
    if limit is None:
        yield
        return
    timer = Timer(limit, leave, (order, limit))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
