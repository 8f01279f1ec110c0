"""The page of a family of landscapes: every cell, and the champion beside every rival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import machine, markdown, save
from benchmarks.search.contestants import CHAMPION, CONFIRMED, RIVALS, contestant
from benchmarks.search.landscape import Landscape
from benchmarks.search.notes import NOTES
from benchmarks.search.statistics import Interval, Verdict, difference, interval, verdict
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
CHAMPIONS: Final = (CHAMPION, CONFIRMED)


@dataclass
class Results:
    """The traces of one landscape, by contestant, budget and seed."""

    where: Landscape
    traces: dict[tuple[str, int], dict[int, Trace]] = field(default_factory=dict)
    _values: dict[tuple[str, str, int], dict[int, float]] = field(default_factory=dict)

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
        wanted = measure, name, budget
        if wanted not in self._values:
            traces = self.traces.get((name, budget), {})
            self._values[wanted] = {seed: MEASURES[measure](traces[seed], budget) for seed in sorted(traces)}
        return self._values[wanted]


def page(directory: Path, family: str, results: Sequence[Results], about: Mapping[str, str]) -> None:
    """Write the page, its numbers and its figure. `about`: further facts for the page, by name."""
    from benchmarks.search.figure import draw

    name = f"search-{family}"
    content = {
        "machine": machine("optuna", "numpy", directory=directory),
        **about,
        "landscapes": [_numbers(each) for each in results],
    }
    parts = [NOTES.get(family, ""), _contestants(results), _summary(results)]
    parts += [_section(each) for each in results]
    facts = "".join(f"- {key}: {value}\n" for key, value in about.items())
    text = "\n".join(part for part in (facts, *parts) if part)
    save(directory, name, f"Does it search? {family}", f"{text}\n![the searches]({name}.svg)\n", content)
    draw(results, directory / f"{name}.svg")


def _contestants(results: Sequence[Results]) -> str:
    names = [*dict.fromkeys(name for each in results for name in each.names)]
    rows = [[name, contestant(name).words(), _seeds(results, name)] for name in names]
    return "## Contestants\n\n" + markdown(["contestant", "method and options", "seeds"], rows)


def _summary(results: Sequence[Results]) -> str:
    """How often each champion wins, over all tables and budgets."""
    rows = []
    for champion in CHAMPIONS:
        for measure in JUDGED:
            cells = (_verdict(each, champion, measure, budget) for each in results for budget in each.budgets)
            words = Counter(cell.word for cell in cells if cell is not None)
            if words:
                rows.append([champion, measure, *(str(words[word]) for word in ("win", "tie", "loss"))])
    rule = (
        "A win means that the 95 % bootstrap interval of the difference, paired by seed, against whoever is the "
        f"strongest at that budget excludes 0. The rivals are {', '.join(RIVALS)}.\n\n"
    )
    return "## Summary\n\n" + rule + markdown(["", "measure", "wins", "ties", "losses"], rows) if rows else ""


def _seeds(results: Sequence[Results], name: str) -> str:
    counts = sorted({len(traces) for each in results for (who, _), traces in each.traces.items() if who == name})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def _section(result: Results) -> str:
    where = result.where
    optimum = "" if where.optimum is None else f" The highest true value is {100 * where.optimum:.2f}."
    parts = [f"## {where.name}\n\nIn percent; {where.about}.{optimum}\n"]
    parts += [_table(result, measure) for measure in MEASURES]
    for champion in CHAMPIONS:
        if champion in result.names:
            parts.append(_verdicts(result, champion))
            parts.append(_differences(result, champion, "best found"))
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


def _verdicts(result: Results, champion: str) -> str:
    """The champion beside the strongest rival at each budget."""
    rows = []
    for measure in JUDGED:
        row = [measure]
        for budget in result.budgets:
            found = _verdict(result, champion, measure, budget)
            row.append(
                "–" if found is None else f"**{found.word}** {found.difference.percent(signed=True)} {found.rival}"
            )
        rows.append(row)
    head = ["measure", *map(str, result.budgets)]
    return f"**{champion} minus the strongest rival of that cell**, in points, paired by seed\n\n" + markdown(
        head, rows
    )


def _verdict(result: Results, champion: str, measure: str, budget: int) -> Verdict | None:
    rivals = {name: values for name in RIVALS if (values := result.values(measure, name, budget))}
    values = result.values(measure, champion, budget)
    return verdict(values, rivals) if values else None


def _differences(result: Results, champion: str, measure: str) -> str:
    rows = []
    for name in result.names:
        if name != champion:
            cells = [_difference(result, champion, measure, name, budget) for budget in result.budgets]
            rows.append([name, *("–" if cell is None else _marked(cell) for cell in cells)])
    return f"**{champion} minus each: {measure}**, in points; * the interval excludes 0\n\n" + markdown(
        ["minus", *map(str, result.budgets)], rows
    )


def _difference(result: Results, champion: str, measure: str, name: str, budget: int) -> Interval | None:
    one, other = (result.values(measure, who, budget) for who in (champion, name))
    return difference(one, other) if one.keys() & other.keys() else None


def _marked(cell: Interval) -> str:
    return cell.percent(signed=True) + ("*" if cell.low > 0 or cell.high < 0 else "")


def _numbers(result: Results) -> dict[str, Any]:
    """Every cell as [mean, low, high]."""
    cells: dict[str, Any] = {}
    for (name, budget), traces in result.traces.items():
        cell: dict[str, Any] = {"seeds": len(traces)}
        for measure in MEASURES:
            cell[measure] = _rounded(interval([*result.values(measure, name, budget).values()]))
            for champion in CHAMPIONS:
                against = _difference(result, champion, measure, name, budget) if name != champion else None
                if against is not None and measure in JUDGED:
                    cell[f"{champion} minus it, {measure}"] = _rounded(against)
        cells.setdefault(name, {})[str(budget)] = cell
    return {"name": result.where.name, "optimum": result.where.optimum, "about": result.where.about, "cells": cells}


def _rounded(found: Interval) -> list[float]:
    return [round(value, 6) for value in found]
