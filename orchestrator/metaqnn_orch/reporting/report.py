"""A run's report as files: the page, its figures and their numbers. Nothing is written here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import yaml

from metaqnn_orch import markup
from metaqnn_orch.needs import need
from metaqnn_orch.reporting.confusion import confusion_figure
from metaqnn_orch.reporting.content import content
from metaqnn_orch.reporting.curves import why_no_curve
from metaqnn_orch.reporting.front import Axes
from metaqnn_orch.reporting.history import History, Pictures
from metaqnn_orch.reporting.page import Drawn, Leader, page
from metaqnn_orch.reporting.palette import ON_PAGE
from metaqnn_orch.reporting.render import in_light, png, svg
from metaqnn_orch.reporting.run_figures import RunFigures, net_drawing
from metaqnn_orch.reporting.summary import RunView, leaderboard, trial_table
from metaqnn_orch.reporting.vega import Rows
from metaqnn_orch.reporting.verdict import Finals
from metaqnn_trainer.contract.result import TrainingResult

NO_PICTURES: Final[Pictures] = MappingProxyType({})


class Report(NamedTuple):
    """The content of a report's folder, by the names of the files."""

    files: dict[str, bytes]
    tables: dict[str, Rows]
    """Tables that become CSV files; their columns are the rows' keys."""


def compose(
    view: RunView,
    history: History,
    best: TrainingResult | None,
    *,
    top: int = 10,
    price: float | None = None,
    axes: Axes | None = None,
    shown: Pictures = NO_PICTURES,
    finals: Finals | None = None,
    works: bool = True,
) -> Report:
    """The report of a run that has at least one reward.

    `best` is the best trial's result, for the versions of its libraries; `price` is the price of an hour of training.
    `axes` are those of the front: by default the reward against each goal of the searcher, or against parameters.
    `shown` are pictures of the best trials; `finals` are those of this run, or of its best nets.
    `works` says whether somebody works on the run.

    Raises:
        BadInput: the libraries of the extra `report` are not installed, or no net has a measure that the front needs.
    """
    need("report", "a report")
    settings, leaders = view.state.settings, leaderboard(view.state, top)
    run_figures = RunFigures(view, history, axes)
    among = run_figures.members

    fronts, beliefs = run_figures.fronts(ON_PAGE), run_figures.beliefs(ON_PAGE)
    figures = [*fronts, *beliefs, *run_figures.course(ON_PAGE)]
    if finals is not None and (confusion := confusion_figure(finals.verdict, ON_PAGE)) is not None:
        figures.append(confusion)
    drawn = [Drawn(figure.name, figure.title, figure.caption, svg(figure.spec)) for figure in figures]
    specs = [net_drawing(settings, trial.net, ON_PAGE) for trial in leaders]
    nets = ["" if spec is None else svg(spec) for spec in specs]
    words = content(view, history, best, price, works=works)
    words.notes.extend(run_figures.troubles)
    rewards = [reward for trial in words.trials for reward in trial.curve]
    low, high = min(rewards, default=0.0), max(rewards, default=1.0)
    text = page(
        words,
        [figure.name for figure in fronts],
        [figure.name for figure in beliefs],
        among,
        drawn,
        [
            Leader(
                trial,
                net,
                _in_base64(shown.get(trial.trial, {})),
                markup.chart(trial.curve, low, high),
                why_no_curve(trial, view.record.table),
            )
            for trial, net in zip(leaders, nets, strict=True)
        ],
        finals,
        {trial.trial: markup.curve(trial.curve, low, high) for trial in words.trials},
    )
    files = {"index.html": text.encode(), "settings.yaml": settings_file(view.record.settings)}
    drawings = {figure.name: figure.svg for figure in drawn}
    drawings |= {f"net-{rank:02d}": net for rank, net in enumerate(nets, 1) if net}
    for name, drawing in drawings.items():
        alone = in_light(drawing)
        files |= {f"{name}.svg": alone.encode(), f"{name}.png": png(alone)}
    for rank, trial in enumerate(leaders, 1):
        files |= {f"net-{rank:02d}-{name}.png": data for name, data in shown.get(trial.trial, {}).items()}
    tables = {f"{figure.name}.csv": figure.rows for figure in figures}
    _, tables["trials.csv"] = trial_table(view.state, works=works)
    if among:
        tables["front.csv"] = [{"trial": one.trial.trial, **one.values, "net": one.trial.net} for one in among]
    if finals is not None and (classes := finals.verdict.classes()):
        tables["classes.csv"] = [one._asdict() for one in classes]
    tables["outcomes.csv"] = [outcome._asdict() for outcome in words.outcomes]
    return Report(files, tables)


def _in_base64(pictures: Mapping[str, bytes]) -> list[tuple[str, str]]:
    return [(name, b64encode(data).decode()) for name, data in pictures.items()]


def settings_file(settings: Mapping[str, Any]) -> bytes:
    """Settings as a file that `metaqnn-orch start` takes."""
    text = yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=110)
    return text.encode()
