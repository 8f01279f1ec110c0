"""A run's report as files: the page, its figures and their numbers. Nothing is written here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import yaml

from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.objective import tells_accuracy
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.needs import need
from metaqnn_orch.reporting.beliefs import q_figures
from metaqnn_orch.reporting.content import content
from metaqnn_orch.reporting.drawing import drawing, drawing_of_parts
from metaqnn_orch.reporting.figures import ACCURACY, figures, scale_of
from metaqnn_orch.reporting.findings import findings_figures, findings_of
from metaqnn_orch.reporting.front import Axes, axes_of, front, members
from metaqnn_orch.reporting.history import History, Pictures
from metaqnn_orch.reporting.page import Drawn, Leader, page
from metaqnn_orch.reporting.palette import LIGHT, ON_PAGE, Palette
from metaqnn_orch.reporting.render import png, svg
from metaqnn_orch.reporting.summary import RunView, leaderboard, trial_table
from metaqnn_orch.reporting.vega import Figure, Rows, Spec
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.spaces.cnn.space import Cnn

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
) -> Report:
    """The report of a run that has at least one reward.

    `best` is the best trial's result, for the versions of its libraries; `price` is the price of an hour of training.
    `axes` are those of the front: by default the reward against each goal of the searcher, or against parameters.
    `shown` are pictures of the best trials.

    Raises:
        BadInput: the libraries of the extra `report` are not installed, or no net has a measure that the front needs.
    """
    need("report", "a report")
    settings, searcher = view.record.settings_as_run(), view.state.searcher
    leaders = leaderboard(view.state, top)
    accuracies = tells_accuracy(settings.task.name, settings.objective)
    scale = scale_of(history.ended, *[ACCURACY] if accuracies else [])
    value = "accuracy" if accuracies else "reward"
    with faults_of(settings.search.method, "naming its goals"):
        goals = axes_of(searcher.goals, value)
    among = members(history.ended, goals, view.state.space) if goals else []
    several = [axes] if axes else goals if among else [Axes("params", value)]
    heights = {value: scale}
    findings = findings_of(view.state)

    def made(colours: Palette) -> list[list[Figure]]:
        space, ended = view.state.space, history.ended
        fronts = [front(ended, each, space, colours, among, heights.get(each.value)) for each in several]
        beliefs = findings_figures(findings, colours)
        if isinstance(searcher, QLearning) and isinstance(view.state.space, Cnn):
            beliefs = [*q_figures(searcher.agent.q_table, colours), *beliefs]
        groups = fronts, beliefs, figures(history, scale, colours)
        return [[figure for figure in group if figure.rows] for group in groups]

    fronts, beliefs, course = made(ON_PAGE)
    drawn = [*fronts, *beliefs, *course]
    words = content(view, history, best, price)
    text = page(
        words,
        [figure.name for figure in fronts],
        [figure.name for figure in beliefs],
        among,
        [Drawn(figure.name, figure.title, figure.caption, svg(figure.spec)) for figure in drawn],
        [
            Leader(trial, svg(_drawing(settings, trial, ON_PAGE)), _in_base64(shown.get(trial.trial, {})))
            for trial in leaders
        ],
    )
    files = {"index.html": text.encode(), "settings.yaml": settings_file(view.record.settings)}
    pictures = {figure.name: figure.spec for group in made(LIGHT) for figure in group}
    pictures |= {f"net-{rank:02d}": _drawing(settings, trial, LIGHT) for rank, trial in enumerate(leaders, 1)}
    for name, spec in pictures.items():
        spec["background"] = LIGHT.page
        files |= {f"{name}.svg": svg(spec).encode(), f"{name}.png": png(spec)}
    for rank, trial in enumerate(leaders, 1):
        files |= {f"net-{rank:02d}-{name}.png": data for name, data in shown.get(trial.trial, {}).items()}
    tables = {f"{figure.name}.csv": figure.rows for figure in drawn}
    _, tables["trials.csv"] = trial_table(view.state)
    if among:
        tables["front.csv"] = [{"trial": one.trial.trial, **one.values, "net": one.trial.net} for one in among]
    tables["outcomes.csv"] = [outcome._asdict() for outcome in words.outcomes]
    return Report(files, tables)


def _in_base64(pictures: Mapping[str, bytes]) -> list[tuple[str, str]]:
    return [(name, b64encode(data).decode()) for name, data in pictures.items()]


def settings_file(settings: Mapping[str, Any]) -> bytes:
    """Settings as a file that `metaqnn-orch start` takes."""
    text = yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=110)
    return text.encode()


def _drawing(settings: Settings, trial: Trial, colours: Palette) -> Spec:
    space = settings.state_space()
    if isinstance(space, Cnn):
        return drawing(space.reports(trial.net), space.image, colours)
    return drawing_of_parts(space.describe(trial.net), colours)
