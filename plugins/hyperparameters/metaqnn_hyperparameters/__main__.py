"""Name the run to begin with, and how much its results count: `python -m metaqnn_hyperparameters digits`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from metaqnn_hyperparameters.likeness import likeness, metafeatures
from metaqnn_orch.application.datasets import find, info
from metaqnn_orch.application.logged import Logged
from metaqnn_orch.application.opening import open_store
from metaqnn_orch.application.run_list import list_runs
from metaqnn_orch.control.record import load_record
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.store.base import Store


class Source(NamedTuple):
    """A run that a search could begin with."""

    run: str
    dataset: str
    weight: float


def sources(store: Store, wanted: DatasetInfo, family: str) -> list[Source]:
    """The runs with this family of spaces that have results on other datasets or this one, the most similar first."""
    found = sorted(_all(store, wanted, family), key=lambda source: -source.weight)
    return [source for source in found if source.weight > 0]


def _all(store: Store, wanted: DatasetInfo, family: str) -> Iterator[Source]:
    for listed in list_runs(store):
        record = load_record(store, listed.run)
        if record.settings["space"].get("family", "cnn") == family and listed.best is not None and record.table is None:
            weight = round(likeness(metafeatures(wanted), metafeatures(record.info)), 3)
            yield Source(listed.run, record.dataset.name, weight)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m metaqnn_hyperparameters", description=__doc__)
    parser.add_argument("dataset", help="name of the dataset to search for, which is in the store")
    parser.add_argument("--store", default="./runs", help="directory, or s3://bucket/prefix")
    parser.add_argument("--family", default="recipes", help="family of the spaces of both runs")
    asked = parser.parse_args(arguments)
    store = open_store(asked.store, Logged().say)
    ref = find(store, asked.dataset)
    if ref is None:
        made_by = next_command(f"dataset push {asked.dataset}", store.uri)
        parser.error(f"there is no dataset {asked.dataset} in {asked.store}: {made_by}")
    found = sources(store, info(store, ref), asked.family)
    if not found:
        parser.error(f"no run in {asked.store} has results to begin with")
    for source in found:
        print(f"{source.weight:.3f}  {source.run}  {source.dataset}")
    print(f"\n--warm-start-from {found[0].run} --set warm_start.weight={found[0].weight}")


if __name__ == "__main__":
    main()
