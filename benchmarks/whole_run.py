"""Whole runs through the installed command, every trial answered by a table: time, memory, resuming."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.seaweedfs import running

from benchmarks.made import write_landscape
from benchmarks.measure import Spread
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.state import RunState
from metaqnn_trainer.store.opening import open_store

ROOT = Path(__file__).parents[1]


def measure_schedule(here: Path, table: Path | None, nets: int, kind: str, repeats: int) -> dict[str, Any]:
    """The paper's schedule, shrunk or stretched to `nets`, each time in a process of its own."""
    runs = []
    for _ in range(repeats):
        with _store(here, kind) as (store, environment):
            runs.append(_run(here, table, nets, store, environment))
    return {
        "store": kind,
        "nets": nets,
        "seconds": Spread.of([run.seconds for run in runs])._asdict(),
        "cpu_seconds": Spread.of([run.cpu_seconds for run in runs])._asdict(),
        "peak_mb": Spread.of([run.peak_mb for run in runs])._asdict(),
        "told": runs[-1].told,
        "repeats": repeats,
    }


def measure_resume(here: Path, table: Path | None, nets: int, repeats: int) -> dict[str, Any]:
    """From the newest snapshot, and once by a fold of the whole journal."""
    with _store(here, "directory") as (store, environment):
        _run(here, table, nets, store, environment)
        opened = open_store(store)
        record = load_record(opened, "bench")
        settings = record.settings_as_run()
        seconds = []
        for _ in range(repeats):
            begun = time.perf_counter()
            resumed, _ = resume(opened, record, settings)
            seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        folded = RunState(settings)
        for event in Journal(opened, "bench").read():
            folded.apply(event)
        fold_seconds = time.perf_counter() - begun
    return {
        "nets": nets,
        "told": resumed.told,
        "seconds": Spread.of(seconds)._asdict(),
        "fold_seconds": fold_seconds,
        "equal": resumed.agent.q_table.digest() == folded.agent.q_table.digest(),
    }


class Run(NamedTuple):
    """One run in a process of its own."""

    seconds: float
    cpu_seconds: float
    """Of the process itself: what a machine that is busy with other things does not change."""
    peak_mb: float
    told: int


def _run(here: Path, table: Path | None, nets: int, store: str, environment: dict[str, str]) -> Run:
    table = table or write_landscape(here / "table.csv")
    command = ["start", "svhn", "--run", "bench", "--store", store, "--launcher", "table", "--table", str(table)]
    command += ["--parallel", "10", "--set", f"schedule.total={nets}", "-o", "json"]
    begun = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.peak", *command],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {process.stderr[-1000:]}")
    cpu_seconds, peak_mb = map(float, process.stderr.split()[-2:])
    return Run(seconds, cpu_seconds, peak_mb, json.loads(process.stdout)["told"])


@contextmanager
def _store(here: Path, kind: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The URI of an empty store, and what the environment has to say for it."""
    if kind == "directory":
        number = len(list(here.glob("store-*")))
        yield str(here / f"store-{number}"), {}
        return
    with running(here / "s3") as server:
        yield f"s3://{server.bucket}/bench", server.environment()
