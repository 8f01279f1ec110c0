"""Makes several calls to a store in parallel, because a store that is far away takes its time for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

CALLS: Final = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results of `work` for each item, in order.

    Raises:
        Exception: the first that `work` raised, when all calls under way have ended.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(work, items))
