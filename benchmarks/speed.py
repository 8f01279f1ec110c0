"""make bench: what a search costs beside training, in one run with the peers. Ratios are to ours in the same run."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from benchmarks.agent_step import DURABLE, OURS, UNFLUSHED, OurAgent, Step, peers
from benchmarks.measure import Spread, machine, markdown, save, times
from benchmarks.whole_run import measure_resume, measure_schedule


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=2700, help="remembered nets at which peers are compared")
    parser.add_argument("--far", type=int, default=10_000, help="and at which the step must not have grown")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--runs", type=int, default=5, help="repeats of the whole schedule")
    parser.add_argument("--steps", type=int, default=40, help="timed in each repeat")
    parser.add_argument("--table", type=Path, help="accuracies for the whole runs; a made landscape by default")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    say = Console(stderr=True).print
    here = Path(tempfile.mkdtemp(prefix=".bench-", dir="."))  # on a disk, where temporary folders are in memory
    try:
        steps = _compare(here, options, say)
        flat = _flatness(here, options, say)
        runs = []
        for kind in ("directory", "s3"):
            say(f"the whole schedule, {options.runs} times: {kind}")
            runs.append(measure_schedule(here, options.table, options.nets, kind, options.runs))
        say("resuming")
        resume = measure_resume(here, options.table, options.far, options.repeats)
    finally:
        shutil.rmtree(here)
    table = _tables(steps, flat, runs, resume, options)
    content = {
        "machine": machine("optuna", "sqlalchemy", "scipy"),
        "steps": steps,
        "flatness": flat,
        "runs": runs,
        "resume": resume,
    }
    save(options.to, "speed", "What a search costs beside training", table, content)


def _compare(here: Path, options: argparse.Namespace, say: Any) -> dict[str, Any]:
    """Milliseconds a trial at `nets` remembered ones. Everything takes its turn in each repeat."""
    contenders: dict[str, Step] = {}
    for name, durable in ((OURS, True), (UNFLUSHED, False)):
        agent = OurAgent(here / f"ours-{durable}", durable=durable)
        agent.fill(options.nets)
        contenders[name] = agent.step
    for name, make in peers(here).items():
        say(f"filling: {name}, {options.nets} trials")
        contenders[name] = make(options.nets)
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(options.repeats + 1):
        say(f"agent step, repeat {repeat} of {options.repeats}" + ("" if repeat else " (warm-up)"))
        for name, step in contenders.items():
            found = statistics.median(times(step, options.steps))
            if repeat:
                medians[name].append(found)
    ours = medians[OURS]
    return {
        name: {
            "durable": DURABLE[name],
            "milliseconds": Spread.of(values)._asdict(),
            "ratio": Spread.of([value / own for value, own in zip(values, ours, strict=True)])._asdict(),
        }
        for name, values in medians.items()
    }


def _flatness(here: Path, options: argparse.Namespace, say: Any) -> dict[str, Any]:
    """Our step at 1,000 remembered nets and at many more, taking turns; and without the disk, which hides growth."""
    agents = {}
    for name, durable in ((OURS, True), (UNFLUSHED, False)):
        say(f"filling: {name}, {options.far} trials")
        near, far = (OurAgent(here / f"{where}-{durable}", durable=durable) for where in ("near", "far"))
        near.fill(min(1000, options.far))
        far.fill(options.far)
        agents[name] = (near, far)
    found: dict[str, list[list[float]]] = {name: [] for name in agents}
    for repeat in range(options.repeats + 1):
        for name, pair in agents.items():
            medians = [statistics.median(times(agent.step, options.steps)) for agent in pair]
            if repeat:
                found[name].append(medians)
    return {
        **{
            name: {
                "at 1000": Spread.of([near for near, _ in pairs])._asdict(),
                f"at {options.far}": Spread.of([far for _, far in pairs])._asdict(),
                "ratio": Spread.of([far / near for near, far in pairs])._asdict(),
            }
            for name, pairs in found.items()
        },
        "parts": {name: Spread.of(part)._asdict() for name, part in agents[OURS][1].parts(options.steps).items()},
    }


def _tables(
    steps: dict[str, Any], flat: dict[str, Any], runs: list[dict[str, Any]], resume: dict[str, Any], options: Any
) -> str:
    step_rows = [
        [name, *(Spread(**found[key]).text(".2f") for key in ("ratio", "milliseconds")), found["durable"]]
        for name, found in steps.items()
    ]
    run_rows = [
        [
            run["store"],
            f"{run['nets']:,}",
            Spread(**run["seconds"]).text(".1f"),
            Spread(**run["cpu_seconds"]).text(".1f"),
            Spread(**run["peak_mb"]).text(".0f"),
            f"{run['told']:,}",
        ]
        for run in runs
    ]
    return (
        f"One trial's cost beside its training, {options.nets:,} nets remembered: median of {options.steps} steps, "
        f"median (quartiles) of {options.repeats} repeats\n\n"
        + markdown(["", "ratio to ours", "ms", "durable when the call returns"], step_rows)
        + f"\nThe step at {options.far:,} nets takes {Spread(**flat[OURS]['ratio']).text('.2f')} times that at 1,000; "
        f"{Spread(**flat[UNFLUSHED]['ratio']).text('.2f')} times where the journal is not flushed. Its parts there, in "
        "ms, the journal flushed:\n\n"
        + markdown(list(flat["parts"]), [[Spread(**part).text(".2f") for part in flat["parts"].values()]])
        + "\nThe whole schedule: the real control loop, every trial answered by a table\n\n"
        + markdown(["store", "nets", "seconds", "processor seconds", "peak MB", "presentations"], run_rows)
        + f"\nResuming {resume['told']:,} presentations ({resume['nets']:,} nets): "
        f"{Spread(**resume['seconds']).text('.2f')} s from the "
        f"snapshot, {resume['fold_seconds']:.2f} s by folding the whole journal; Q-tables "
        f"{'equal to the last bit' if resume['equal'] else 'DIFFER'}.\n"
    )


if __name__ == "__main__":
    begun = time.monotonic()
    main()
    print(f"{time.monotonic() - begun:.0f} s in all")
