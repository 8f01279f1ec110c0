"""A process that trains one trial, for benchmarks.start_up. It imports nothing that the trainer would not."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext

from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.start_up import Ahead, lasting_imports
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore


class Distant(DirectoryStore):
    """A store that sends datasets at a limited rate, in bytes a second; waiting takes no processor time."""

    def __init__(self, root: str, rate: float) -> None:
        super().__init__(root)
        self._rate = rate

    def get(self, key: str, first: int | None = None) -> bytes:
        data = super().get(key, first)
        if key.startswith("datasets/"):
            time.sleep(len(data) / self._rate)
        return data


def main(store: str, run: str, trial: str, rate: str, folder: str, *parts: str) -> int:
    """Train a trial as the command `train` does, with these parts of its start alone: `imports`, `ahead`, `cache`."""

    def opened(uri: str) -> Store:
        return Distant(uri, float(rate))

    order = WorkOrder(store=store, run=run, trial=trial, attempt=1)
    cache = DatasetCache(folder) if "cache" in parts else None
    ahead = Ahead.of(order, cache, opened) if "ahead" in parts else None
    with lasting_imports() if "imports" in parts else nullcontext():
        from metaqnn_trainer.trial import Trainer

    return Trainer(1, dataset_cache=cache, opened=opened, ahead=ahead).carry_out(order).exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
