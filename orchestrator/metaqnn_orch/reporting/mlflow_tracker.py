"""The tracker for MLflow: a parent run for the search and a child run for each trial, found again by their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mlflow.entities import Metric, Param, Run, RunStatus
from mlflow.tracking import MlflowClient

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import one_line
from metaqnn_orch.numbers import finite
from metaqnn_orch.reporting.summary import MEASURE
from metaqnn_orch.reporting.tracking import Point
from metaqnn_orch.settings.values import flatten

UID: Final = "metaqnn.uid"  # tag of the search, on parent and children
TRIAL: Final = "metaqnn.trial"  # tag of the trial, on children
_PARENT: Final = "mlflow.parentRunId"
_NAME: Final = "mlflow.runName"
_PARAMS_AT_ONCE: Final = 100
_LONGEST: Final = 500  # characters of a parameter that every server takes
_PAGE: Final = 1000


class MlflowTracker:
    """Shows a run in MLflow. A child is complete when it is FINISHED: any other child was cut short, and is made
    again.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri = uri
        self._experiment = experiment
        self._client = MlflowClient(tracking_uri=uri)

    @property
    def name(self) -> str:
        return f"MLflow at {one_line(self._uri)}"

    def begin(self, record: RunRecord) -> None:
        self._uid = record.uid
        found = self._client.get_experiment_by_name(self._experiment)
        self._place = found.experiment_id if found else self._client.create_experiment(self._experiment)
        parents, children = self._there()
        self._parent = parents[0].info.run_id if parents else self._create_parent(record)
        self._client.update_run(self._parent, RunStatus.to_string(RunStatus.RUNNING))
        self._known = set()
        for child in children:
            if child.info.status == RunStatus.to_string(RunStatus.FINISHED):
                self._known.add(child.data.tags[TRIAL])
            else:
                self._client.delete_run(child.info.run_id)

    def show(self, points: Sequence[Point]) -> None:
        for point in points:
            if point.trial.trial not in self._known:
                self._show(point)
                self._known.add(point.trial.trial)

    def end(self, finished: bool) -> None:
        status = RunStatus.FINISHED if finished else RunStatus.KILLED
        self._client.set_terminated(self._parent, RunStatus.to_string(status))

    def _show(self, point: Point) -> None:
        trial, moment = point.trial, max(0, round(point.at.timestamp() * 1000))
        begun = max(0, moment - round(finite((trial.seconds or 0.0) * 1000)))  # MLflow knows no time before 1970
        tags = {UID: self._uid, TRIAL: trial.trial, _PARENT: self._parent, _NAME: trial.trial}
        tags |= {"metaqnn.state": trial.state, "metaqnn.device": trial.device}
        tags |= {"metaqnn.confirms": trial.confirms} if trial.confirms else {}
        child = self._client.create_run(self._place, start_time=begun, tags=tags).info.run_id
        numbers = {
            "reward": point.reward,
            "val_accuracy": trial.val_accuracy,
            "params": trial.params,
            "macs": trial.macs,
            "seconds": trial.seconds,
            "images_per_second": trial.images_per_second,
            "samplings": trial.samplings,
            "measured": trial.measured,
            "predicted": trial.predicted,
            "spread": trial.spread,
            **{MEASURE + name: value for name, value in trial.measures.items()},
        }
        said = {"net": trial.net, "epsilon": trial.epsilon, "attempts": trial.attempt}
        self._client.log_batch(child, metrics=_metrics(numbers, moment, 0), params=_params(said))
        course = {"reward": point.reward, "val_accuracy": trial.val_accuracy, "best": point.best}
        course |= {"mean_of_last_100": point.mean, "epsilon": trial.epsilon, "hours": point.hours}
        if trial.confirms:
            course = {"confirmation_reward": point.reward, "confirmation_mean": point.confirmed}
        self._client.log_batch(self._parent, metrics=_metrics(course, moment, point.number))
        self._client.set_terminated(child, end_time=moment)

    def _create_parent(self, record: RunRecord) -> str:
        tags = {UID: record.uid, _NAME: record.run, "metaqnn.version": record.version}
        parent = str(self._client.create_run(self._place, tags=tags).info.run_id)
        params = _params(dict(flatten(record.settings)))
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(parent, params=params[first : first + _PARAMS_AT_ONCE])
        return parent

    def _there(self) -> tuple[list[Run], list[Run]]:
        """The existing parents, of which there should be one, and the existing children."""
        runs = list(self._search())
        children = [run for run in runs if TRIAL in run.data.tags]
        return [run for run in runs if TRIAL not in run.data.tags], children

    def _search(self) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._place], f"tags.`{UID}` = '{self._uid}'", max_results=_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


def _metrics(values: Mapping[str, float | None], moment: int, step: int) -> list[Metric]:
    return [Metric(name, float(value), moment, step) for name, value in values.items() if value is not None]


def _params(values: Mapping[str, Any]) -> list[Param]:
    return [Param(name, str(value)[:_LONGEST]) for name, value in values.items()]
