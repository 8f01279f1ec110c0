"""A run's report as files: the page, its figures and their numbers. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from metaqnn_orch.control.state import Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.content import content
from metaqnn_orch.reporting.drawing import drawing
from metaqnn_orch.reporting.figures import figures
from metaqnn_orch.reporting.history import History
from metaqnn_orch.reporting.page import Drawn, page
from metaqnn_orch.reporting.palette import LIGHT, ON_PAGE, Palette
from metaqnn_orch.reporting.render import png, svg
from metaqnn_orch.reporting.summary import RunView, leaderboard, trial_row
from metaqnn_orch.reporting.vega import Rows, Spec
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.layers import Shape, describe
from metaqnn_trainer.contract.notation import parse_net
from metaqnn_trainer.contract.result import TrainingResult


class Report(NamedTuple):
    """What goes into a report's folder, by the names of the files."""

    files: dict[str, bytes]
    tables: dict[str, Rows]
    """As CSV; columns are the rows' keys."""


def compose(
    view: RunView, history: History, best: TrainingResult | None, *, top: int = 10, price: float | None = None
) -> Report:
    """The report of a run that has at least one accuracy.

    `best` is the best trial's result, for the versions that it was trained with; `price` that of an hour of training.

    Raises:
        BadInput: the libraries of the extra `report` are not installed.
    """
    try:
        return _compose(view, history, best, top, price)
    except ModuleNotFoundError as error:
        raise BadInput(f"a report cannot be drawn here: {error}", hint="pip install 'metaqnn-orch[report]'") from None


def _compose(view: RunView, history: History, best: TrainingResult | None, top: int, price: float | None) -> Report:
    settings, q_table = view.record.settings_as_run(), view.state.agent.q_table
    leaders = leaderboard(view.state, top)
    drawn = figures(history, q_table, ON_PAGE)
    words = content(view, history, best, price)
    text = page(
        words,
        [Drawn(figure.name, figure.title, figure.caption, svg(figure.spec)) for figure in drawn],
        [(trial, svg(_drawing(settings, trial, ON_PAGE))) for trial in leaders],
    )
    files = {"index.html": text.encode(), "settings.yaml": settings_file(view.record.settings)}
    pictures = {figure.name: figure.spec for figure in figures(history, q_table, LIGHT)}
    pictures |= {f"net-{rank:02d}": _drawing(settings, trial, LIGHT) for rank, trial in enumerate(leaders, 1)}
    for name, spec in pictures.items():
        spec["background"] = LIGHT.page
        files |= {f"{name}.svg": svg(spec).encode(), f"{name}.png": png(spec)}
    tables = {f"{figure.name}.csv": figure.rows for figure in drawn}
    tables["trials.csv"] = [trial_row(trial) for trial in view.state.trials.values()]
    tables["outcomes.csv"] = [outcome._asdict() for outcome in words.outcomes]
    return Report(files, tables)


def settings_file(settings: Mapping[str, Any]) -> bytes:
    """Settings as a file that `metaqnn-orch start` takes."""
    text = yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=110)
    return text.encode()


def _drawing(settings: Settings, trial: Trial, colours: Palette) -> Spec:
    image = Shape(settings.space.channels, settings.space.image_size)
    model = settings.model
    reports = describe(parse_net(trial.net), image, gap_head=model.gap_head, batch_norm=model.batch_norm)
    return drawing(reports, image, colours)
