"""The page of a family of landscapes: every cell, and the champion beside every rival."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.measure import machine, markdown, save
from benchmarks.search.contestants import CHAMPION, RIVALS, contestant
from benchmarks.search.landscape import Landscape
from benchmarks.search.notes import NOTES
from benchmarks.search.statistics import Interval, difference, interval, verdict
from benchmarks.search.traces import Trace

MEASURES: Final[Mapping[str, Callable[[Trace, int], float]]] = {
    "best found": Trace.best,
    "top ten": Trace.top,
    "area under the curve": Trace.area,
    "highest reward": Trace.measured,
}
MEANING: Final = {
    "best found": "true value of the design that seems best by its reward",
    "top ten": "mean true value of the ten designs that seem best",
    "area under the curve": "mean, over all trainings so far, of the true value of the design that seemed best then",
    "highest reward": "as measured, noise and all; for comparison with pages that report it",
}
JUDGED: Final = ("best found", "top ten", "area under the curve")


@dataclass
class Results:
    """The traces of one landscape, by contestant, budget and seed."""

    where: Landscape
    traces: dict[tuple[str, int], dict[int, Trace]] = field(default_factory=dict)

    def add(self, name: str, budget: int, trace: Trace) -> None:
        self.traces.setdefault((name, budget), {})[trace.task.seed] = trace

    @property
    def names(self) -> list[str]:
        return [*dict.fromkeys(name for name, _ in self.traces)]

    @property
    def budgets(self) -> list[int]:
        return sorted({budget for _, budget in self.traces})

    def values(self, measure: str, name: str, budget: int) -> dict[int, float]:
        """By seed; none where it took no part."""
        traces = self.traces.get((name, budget), {})
        return {seed: MEASURES[measure](traces[seed], budget) for seed in sorted(traces)}


def page(directory: Path, family: str, results: Sequence[Results], about: Mapping[str, str]) -> None:
    """Write the page, its numbers and its figure. `about`: further facts for the page, by name."""
    from benchmarks.search.figure import draw

    name = f"search-{family}"
    content = {
        "machine": machine("optuna", "numpy", directory=directory),
        **about,
        "landscapes": [_numbers(each) for each in results],
    }
    parts = [NOTES.get(family, ""), _contestants(results)]
    parts += [_section(each) for each in results]
    facts = "".join(f"- {key}: {value}\n" for key, value in about.items())
    text = "\n".join(part for part in (facts, *parts) if part)
    save(directory, name, f"Does it search? {family}", f"{text}\n![the searches]({name}.svg)\n", content)
    draw(results, directory / f"{name}.svg")


def _contestants(results: Sequence[Results]) -> str:
    names = [*dict.fromkeys(name for each in results for name in each.names)]
    rows = []
    for name in names:
        seconds = [_seconds(each, name) for each in results]
        rows.append([name, contestant(name).words(), _seeds(results, name), ", ".join(filter(None, seconds))])
    return "## Contestants\n\n" + markdown(["contestant", "method and options", "seeds", "seconds a search"], rows)


def _seeds(results: Sequence[Results], name: str) -> str:
    counts = sorted({len(traces) for each in results for (who, _), traces in each.traces.items() if who == name})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def _seconds(result: Results, name: str) -> str:
    largest = max((budget for who, budget in result.traces if who == name), default=0)
    traces = result.traces.get((name, largest), {})
    return f"{fmean(trace.seconds for trace in traces.values()):.1f} ({largest})" if traces else ""


def _section(result: Results) -> str:
    where = result.where
    optimum = "" if where.optimum is None else f" The highest true value is {100 * where.optimum:.2f}."
    parts = [f"## {where.name}\n\nIn percent; {where.about}.{optimum}\n"]
    parts += [_table(result, measure) for measure in MEASURES]
    if CHAMPION in result.names:
        parts.append(_verdicts(result))
        parts += [_differences(result, measure) for measure in JUDGED]
    return "\n".join(parts)


def _table(result: Results, measure: str) -> str:
    seeds = max(map(len, result.traces.values()))
    rows = [
        [name, *(_cell(result.values(measure, name, budget), seeds) for budget in result.budgets)]
        for name in result.names
    ]
    return f"**{measure}**: {MEANING[measure]}\n\n" + markdown(["contestant", *map(str, result.budgets)], rows)


def _cell(values: Mapping[int, float], seeds: int) -> str:
    """Where there are fewer seeds than elsewhere, their number too."""
    if not values:
        return "–"
    few = f" ({len(values)} seeds)" if len(values) < seeds else ""
    return interval([*values.values()]).percent() + few


def _verdicts(result: Results) -> str:
    """The champion beside the strongest rival at each budget."""
    rows = []
    for measure in JUDGED:
        row = [measure]
        for budget in result.budgets:
            found = _verdict(result, measure, budget)
            row.append(
                "–" if found is None else f"**{found.word}** {found.difference.percent(signed=True)} {found.rival}"
            )
        rows.append(row)
    head = ["measure", *map(str, result.budgets)]
    return f"**{CHAMPION} minus the strongest rival of that cell**, in points, paired by seed\n\n" + markdown(
        head, rows
    )


def _verdict(result: Results, measure: str, budget: int) -> Any:
    rivals = {name: values for name in RIVALS if (values := result.values(measure, name, budget))}
    champion = result.values(measure, CHAMPION, budget)
    return verdict(champion, rivals) if champion else None


def _differences(result: Results, measure: str) -> str:
    rows = []
    for name in result.names:
        if name != CHAMPION:
            cells = [_difference(result, measure, name, budget) for budget in result.budgets]
            rows.append([name, *("–" if cell is None else _marked(cell) for cell in cells)])
    return f"**{CHAMPION} minus each: {measure}**, in points; * the interval excludes 0\n\n" + markdown(
        ["minus", *map(str, result.budgets)], rows
    )


def _difference(result: Results, measure: str, name: str, budget: int) -> Interval | None:
    champion, other = (result.values(measure, who, budget) for who in (CHAMPION, name))
    return difference(champion, other) if champion.keys() & other.keys() else None


def _marked(cell: Interval) -> str:
    return cell.percent(signed=True) + ("*" if cell.low > 0 or cell.high < 0 else "")


def _numbers(result: Results) -> dict[str, Any]:
    """Every cell as [mean, low, high]."""
    cells: dict[str, Any] = {}
    for (name, budget), traces in result.traces.items():
        cell: dict[str, Any] = {"seeds": len(traces)}
        for measure in MEASURES:
            cell[measure] = _rounded(interval([*result.values(measure, name, budget).values()]))
            against = _difference(result, measure, name, budget) if name != CHAMPION else None
            if against is not None and measure in JUDGED:
                cell[f"{CHAMPION} minus it, {measure}"] = _rounded(against)
        cells.setdefault(name, {})[str(budget)] = cell
    return {"name": result.where.name, "optimum": result.where.optimum, "about": result.where.about, "cells": cells}


def _rounded(found: Interval) -> list[float]:
    return [round(value, 6) for value in found]
