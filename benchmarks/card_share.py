"""`make bench-card`: which share of a card's time is training, with one trial in each Job and with several.

Nothing is trained, and there is no card. On the stand-in for the API (tests/launchers/kubernetes/double) the installed
command searches; each of its Pods is a process that sleeps for as long as starting and training would take. Everything
between a Job's end and the next Pod is real: the orchestrator notices, learns, proposes and creates the next Job.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.cli.conftest import put_dataset
from tests.launchers.kubernetes.double.api import Api, serving
from tests.launchers.kubernetes.double.controllers import Controllers
from tests.launchers.kubernetes.double.kubeconfig import write_kubeconfig

from benchmarks.cluster import INFO, NAMESPACE, ROOT
from benchmarks.measure import machine, markdown, save
from metaqnn_trainer.store.directory import DirectoryStore

SLEEPER: Final = ROOT / "benchmarks" / "sleeping_trainer.py"


class Start(NamedTuple):
    """Seconds that a Job costs beside training."""

    pod: float = 3.0
    """From the Job's creation until its container runs, where the node has the image already. Kubernetes promises 5 s
    for 99 of 100 Pods; on a single node of release 1.36 it took 1 to 2 s.
    """
    imports: float = 3.4
    """Importing torch, as measured on the machine of an H200."""
    data: float = 0.9
    """The first touch of the card, and the dataset: what else a process for one trial took there, beside training."""
    end: float = 1.0
    """From the container's end until the card is free. On that node a Job was complete 2 to 3 s after it."""


class Cell(NamedTuple):
    """One search."""

    seconds: float
    """Seconds of training a net, give or take a tenth."""
    together: int
    cards: int
    at_least: float
    """Seconds for which it is watched, at least."""
    start: Start


class Found(NamedTuple):
    """What a search did with its cards."""

    share: float
    """Share of the time that was training."""
    gap: float
    """Median seconds from a card's becoming free until its next Job's Pod is there: the orchestrator's part."""
    jobs_per_minute: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-card", description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0, 20.0, 60.0], help="of training a net")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 4, 16], help="trials of a Job")
    parser.add_argument("--cards", type=int, default=4)
    parser.add_argument("--at-least", type=float, default=120.0, help="seconds for which each search is watched")
    for name, value in Start()._asdict().items():
        parser.add_argument(f"--{name}", type=float, default=value, help="seconds, see Start")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    start = Start(*(getattr(options, name) for name in Start._fields))
    cells = [
        Cell(seconds, together, options.cards, options.at_least, start)
        for seconds in options.seconds
        for together in options.together
    ]
    # They sleep nearly all of the time, so that they can be watched at once.
    with ProcessPoolExecutor(len(cells), multiprocessing.get_context("spawn")) as pool:
        found = dict(zip(cells, pool.map(watched, cells), strict=True))
    content = {
        "machine": machine("kubernetes"),
        "cards": options.cards,
        "start": start._asdict(),
        "cells": [{"seconds": cell.seconds, "together": cell.together, **one._asdict()} for cell, one in found.items()],
    }
    save(options.to, "cluster", "A card's time, and how many trials share a Job", page(content), content)


def watched(cell: Cell) -> Found:
    """What a search does with its cards, until each has been taken by a second Job, and for some time at least."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=".") as folder:
        here = Path(folder).resolve()
        log, place = here / "log", here / "store"
        log.touch()
        put_dataset(DirectoryStore(place), INFO)
        times = [*map(str, (log, *cell.start, cell.seconds))]
        api = Api()
        api.bookmark_seconds = 30.0
        with serving(api) as url:
            kubeconfig = write_kubeconfig(here / "kubeconfig", url, api.token, NAMESPACE)
            controllers = Controllers(api, {"none": [sys.executable, str(SLEEPER), *times]})
            controllers.places = cell.cards
            controllers.start()
            process = subprocess.Popen(
                _command(here, place, cell),
                env={**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=(here / "errors").open("wb"),
            )
            begun = time.monotonic()
            try:
                while not _has_seen_enough(log, cell, time.monotonic() - begun):
                    if process.poll() is not None:
                        raise RuntimeError((here / "errors").read_text()[-1000:])
                    time.sleep(0.2)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()
                controllers.close()
        return summary(cell, _notes(log))


def _notes(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _has_seen_enough(log: Path, cell: Cell, seconds: float) -> bool:
    notes = _notes(log)
    began = sum("began" in note for note in notes)
    return seconds >= cell.at_least and began >= 2 * cell.cards and len(notes) - began >= cell.cards


def summary(cell: Cell, notes: Sequence[Mapping[str, Any]]) -> Found:
    """What came of a search, by what its Pods noted."""
    began = sorted(note["began"] for note in notes if "began" in note)
    over = sorted((note for note in notes if "ended" in note), key=lambda note: note["ended"])
    gaps = [next_one - note["ended"] for next_one, note in zip(began[cell.cards :], over, strict=False)]
    gap = statistics.median(gaps)
    trained = sum(sum(note["trained"]) for note in over)
    taken = sum(note["seconds"] for note in over) + gap * len(over)
    return Found(trained / taken, gap, 60 * cell.cards * len(over) / taken)


def _command(here: Path, place: Path, cell: Cell) -> list[str]:
    """The search: enough nets for as long as it is watched."""
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(here)}]}
    volume = {"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}
    template = here / "template.json"
    template.write_text(json.dumps({"spec": {"template": {"spec": {"containers": [mount], "volumes": [volume]}}}}))
    sets = {"image": "none", "namespace": NAMESPACE, "template": template, "trials_per_job": cell.together}
    return [
        *(sys.executable, "-m", "metaqnn_orch", "start", "svhn", "--run=share", "--store", str(place)),
        *("--launcher=kubernetes", f"--parallel={cell.cards * cell.together}"),
        *(f"--set=execution.kubernetes.{key}={value}" for key, value in sets.items()),
    ]


def page(found: Mapping[str, Any]) -> str:
    start, cells = found["start"], found["cells"]
    widths = list(dict.fromkeys(cell["together"] for cell in cells))
    by_place = {(cell["seconds"], cell["together"]): cell for cell in cells}
    rows = [
        [f"{seconds:g} s", *(_in_words(by_place[seconds, together]) for together in widths)]
        for seconds in dict.fromkeys(cell["seconds"] for cell in cells)
    ]
    head = ["training of a net", *("1 trial a Job" if width == 1 else f"{width} trials a Job" for width in widths)]
    gaps = ", ".join(f"{cell['gap']:.2f}" for cell in cells)
    return (
        f"Share of a card's time that is training, and Jobs created in a minute, for {found['cards']} cards. "
        "A Job costs, beside training:\n\n"
        + "".join(f"- {words}: {start[name]:g} s\n" for name, words in _COSTS.items())
        + "\n"
        + markdown(head, rows)
        + f"\nFrom a card's becoming free until the next Pod was there, s (median, cell by cell): {gaps}. This is the "
        "orchestrator's part, with the stand-in for the API; everything else in a Job is slept.\n"
    )


_COSTS: Final = {
    "pod": "from its creation until the container runs, the image being there (Kubernetes promises 5 s for 99 of 100)",
    "imports": "importing torch (measured beside an H200)",
    "data": "the first touch of the card, and reading the dataset (the rest of what a process took there)",
    "end": "from the container's end until the card is free",
}


def _in_words(cell: Mapping[str, Any]) -> str:
    return f"{cell['share']:.0%}, {cell['jobs_per_minute']:.1f} Jobs"


if __name__ == "__main__":
    main()
