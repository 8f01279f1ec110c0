"""The figures of a run in their groups, for everything that shows them: the report and the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.objective import tells_accuracy
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import PluginFailed, PluginsMissing
from metaqnn_orch.reporting.beliefs import q_figures
from metaqnn_orch.reporting.drawing import drawing, drawing_of_parts
from metaqnn_orch.reporting.figures import ACCURACY, figures, scale_of
from metaqnn_orch.reporting.findings import findings_figures, findings_of
from metaqnn_orch.reporting.front import Axes, axes_of, front, members
from metaqnn_orch.reporting.history import History
from metaqnn_orch.reporting.learning_curves import learning_curves
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.reporting.vega import Figure, Spec
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.spaces.cnn.space import Cnn

T = TypeVar("T")


class RunFigures:
    """All figures of a run at one moment. What they have in common is computed once, whatever their colours."""

    def __init__(self, view: RunView, history: History, axes: Axes | None = None) -> None:
        """`axes` are those of the front: by default the reward against each goal of the searcher, or against
        parameters. Where the searcher fails to say what it looks for or has learned, the other figures are whole.
        """
        settings = view.state.settings
        accuracies = tells_accuracy(settings.task.name, settings.objective)
        self._view, self._history = view, history
        self._scale = scale_of(history.ended, *[ACCURACY] if accuracies else [])
        self.value = "accuracy" if accuracies else "reward"
        """The name of the reward as a measure."""
        self.troubles: list[str] = []
        """What the searcher failed to say, and why, a line for each."""
        goals = self._told(lambda: _goals_of(view.state, self.value))
        self._findings = self._told(lambda: findings_of(view.state))
        self.members = members(history.ended, goals, view.state.space) if goals else []
        """The nets of the front that the search looked for; none where it looked for none."""
        self.axes = [axes] if axes else goals if self.members else [Axes("params", self.value)]

    def _told(self, ask: Callable[[], list[T]]) -> list[T]:
        """What the searcher says; nothing where it fails, which is one of the troubles."""
        try:
            return ask()
        except PluginFailed as error:
            self.troubles.append(str(error))
            return []

    def front(self, axes: Axes, colours: Palette) -> Figure:
        """The nets by two measures.

        Raises:
            BadInput: no net has one of the two; the text lists the measures that exist.
        """
        scale = self._scale if axes.value == self.value else None
        return front(self._history.ended, axes, self._view.state.space, colours, self.members, scale)

    def fronts(self, colours: Palette) -> list[Figure]:
        """The front by each of the axes. Raises as `front` does."""
        return _drawn([self.front(axes, colours) for axes in self.axes])

    def curves(self, trials: Iterable[Trial], colours: Palette) -> Figure:
        """The learning curves of these trials."""
        some = [*trials]
        curves, nets = {one.trial: one.curve for one in some}, {one.trial: one.net for one in some}
        return learning_curves(curves, nets, self._scale, colours)

    def beliefs(self, colours: Palette) -> list[Figure]:
        """What the searcher has learned."""
        searcher, found = self._view.state.searcher, findings_figures(self._findings, colours)
        if isinstance(searcher, QLearning) and isinstance(self._view.state.space, Cnn):
            found = [*q_figures(searcher.agent.q_table, colours), *found]
        return _drawn(found)

    def course(self, colours: Palette) -> list[Figure]:
        """What happened in the course of the run."""
        return _drawn(figures(self._history, self._scale, colours))


def _goals_of(state: RunState, value: str) -> list[Axes]:
    """
    Raises:
        SearcherFailed: it is a plug-in, and fails.
    """
    with faults_of(state.settings.search.method, "naming its goals"):
        return axes_of(state.searcher.goals, value)


def _drawn(figures: list[Figure]) -> list[Figure]:
    """The figures that have anything to show."""
    return [figure for figure in figures if figure.rows]


def net_drawing(settings: Settings, net: str, colours: Palette) -> Spec | None:
    """The drawing of a design; None where the space is not installed here.

    Raises:
        ContractError: the design does not fit the space of these settings.
    """
    space = settings.state_space()
    if isinstance(space, Cnn):
        return drawing(space.reports(net), space.image, colours)
    with suppress(PluginsMissing):
        return drawing_of_parts(space.describe(net), colours)
    return None
