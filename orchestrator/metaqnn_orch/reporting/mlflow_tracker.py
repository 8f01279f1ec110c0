"""The tracker for MLflow: a parent run for the search and a child run for each trial, found again by their tags.

Several processes may show the same search at once. On one machine only one at a time looks for a trial and adds it.
MLflow itself knows no "only if absent"; so where processes of several machines show a search on one server, each looks
again when it has added a trial, and all agree which one stays.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from socket import gethostname
from tempfile import TemporaryDirectory
from typing import Any, Final

from mlflow.entities import Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import one_line
from metaqnn_orch.numbers import finite
from metaqnn_orch.reporting.answering import check_answers
from metaqnn_orch.reporting.summary import MEASURE
from metaqnn_orch.reporting.tracking import Files, Point
from metaqnn_orch.settings.values import flatten
from metaqnn_trainer.alone import alone, stand_in
from metaqnn_trainer.contract.result import EpochRecord

UID: Final = "metaqnn.uid"  # tag of the search, on parent and children
TRIAL: Final = "metaqnn.trial"  # tag of the trial, on children
HOST: Final = "metaqnn.host"  # tag of the machine that added the trial, on children
BEST: Final = "metaqnn.best"  # tag of the trial whose files are the search's artifacts, on the parent
EPOCH: Final = "epoch."  # prefix of what was measured after each epoch
_PARENT: Final = "mlflow.parentRunId"
_NAME: Final = "mlflow.runName"
_PARAMS_AT_ONCE: Final = 100
_METRICS_AT_ONCE: Final = 1000
_LONGEST: Final = 500  # characters of a parameter that every server takes
_PAGE: Final = 1000


class MlflowTracker:
    """Shows a run in MLflow. A child is complete when it is FINISHED: any other child was cut short, and is made
    again.
    """

    def __init__(
        self, uri: str, experiment: str, say: Callable[[str], None] = lambda line: None, host: str | None = None
    ) -> None:
        """`say` is told what takes long. `host` is this machine's name, by default as the system has it."""
        self._uri = uri
        self._experiment = experiment
        self._say = say
        self._host = gethostname() if host is None else host

    @property
    def name(self) -> str:
        return f"MLflow at {one_line(self._uri)}"

    def begin(self, record: RunRecord, files: Files) -> None:
        check_answers(self._uri)
        self._uid, self._files = record.uid, files
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line for each trial, among data
        with _without_news(), self._alone():
            if _is_new(self._uri):
                self._say("MLflow makes the tables of a new database, which may take a minute")
            self._client = MlflowClient(tracking_uri=self._uri)
            found = self._client.get_experiment_by_name(self._experiment)
            self._place = found.experiment_id if found else self._client.create_experiment(self._experiment)
            parents, children = self._there()
            self._parent = self._complete_parent(record, parents[0] if parents else None)
            self._parent = self._first_parent(self._parent)
        self._best = parents[0].data.tags.get(BEST, "") if parents else ""
        self._client.update_run(self._parent, RunStatus.to_string(RunStatus.RUNNING))
        self._known = {child.data.tags[TRIAL] for child in children if _is_whole(child)}

    def show(self, points: Sequence[Point]) -> None:
        check_answers(self._uri)  # its own client takes minutes to say that nobody is there
        for point in points:
            if point.trial.trial not in self._known:
                with self._alone():  # for one trial: nobody waits longer, as a search shows its trials for hours
                    if not self._has(point.trial.trial):
                        self._show(point)
                        self._agree(point.trial.trial)
                self._known.add(point.trial.trial)

    def end(self, finished: bool) -> None:
        status = RunStatus.FINISHED if finished else RunStatus.KILLED
        self._client.set_terminated(self._parent, RunStatus.to_string(status))
        if finished:
            with TemporaryDirectory(prefix="metaqnn-best-") as folder:
                if trial := self._files.best(Path(folder), self._best):
                    self._client.log_artifacts(self._parent, folder, f"best/{trial}")
                    self._client.set_tag(self._parent, BEST, trial)

    def _show(self, point: Point) -> None:
        trial, moment = point.trial, max(0, round(point.at.timestamp() * 1000))
        begun = max(0, moment - round(finite((trial.seconds or 0.0) * 1000)))  # MLflow knows no time before 1970
        tags = {UID: self._uid, TRIAL: trial.trial, _PARENT: self._parent, _NAME: trial.trial}
        tags |= {"metaqnn.state": trial.state, "metaqnn.device": trial.device, HOST: self._host}
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
        course = _course(self._files.epochs(trial.trial), begun, moment)
        for first in range(0, len(course), _METRICS_AT_ONCE):
            self._client.log_batch(child, metrics=course[first : first + _METRICS_AT_ONCE])
        search = {"reward": point.reward, "val_accuracy": trial.val_accuracy, "best": point.best}
        search |= {"mean_of_last_100": point.mean, "epsilon": trial.epsilon, "hours": point.hours}
        if trial.confirms:
            search = {"confirmation_reward": point.reward, "confirmation_mean": point.confirmed}
        self._client.log_batch(self._parent, metrics=_metrics(search, moment, point.number))
        self._client.set_terminated(child, end_time=moment)

    def _complete_parent(self, record: RunRecord, found: Run | None) -> str:
        """The parent, with all its parameters: a process may have ended before it had written them."""
        tags = {UID: record.uid, _NAME: record.run, "metaqnn.version": record.version}
        run = found or self._client.create_run(self._place, tags=tags)
        wanted = _params(dict(flatten(record.settings)))
        params = [param for param in wanted if param.key not in run.data.params]
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(run.info.run_id, params=params[first : first + _PARAMS_AT_ONCE])
        return str(run.info.run_id)

    def _first_parent(self, ours: str) -> str:
        """The parent that was made first: another machine may have made one since this one looked for it."""
        parents = [run.info.run_id for run in self._there()[0]]
        if len(parents) > 1 and parents[0] != ours:
            self._client.delete_run(ours)
        return str(parents[0]) if parents else ours

    def _has(self, trial: str) -> bool:
        """Whether the trial is there, whole. What a process has left behind that was killed is removed."""
        children = [*self._search(trial)]
        for child in children:
            if not _is_whole(child) and child.data.tags.get(HOST, self._host) == self._host:
                self._client.delete_run(child.info.run_id)
        return any(map(_is_whole, children))

    def _agree(self, trial: str) -> None:
        """Keep one of those that several machines have added at the same time: all of them choose the same."""
        whole = [child.info.run_id for child in self._search(trial) if _is_whole(child)]
        for twin in sorted(whole)[1:]:
            with suppress(MlflowException):  # another machine was first
                self._client.delete_run(twin)

    def _alone(self) -> AbstractContextManager[None]:
        """A block in which no other process of this machine adds to the same place."""
        file = _database(self._uri)
        return alone(stand_in(self._uri) if file is None else file.parent)

    def _there(self) -> tuple[list[Run], list[Run]]:
        """The existing parents, of which there should be one, the first one first; and the existing children."""
        runs = [*self._search()]
        parents = [run for run in runs if TRIAL not in run.data.tags]
        parents.sort(key=lambda run: (run.info.start_time, run.info.run_id))
        return parents, [run for run in runs if TRIAL in run.data.tags]

    def _search(self, trial: str = "") -> Iterator[Run]:
        """What is there of the search, or of one of its trials."""
        token, wanted = None, f"tags.`{UID}` = '{self._uid}'"
        wanted += f" AND tags.`{TRIAL}` = '{trial}'" if trial else ""
        while True:
            page = self._client.search_runs([self._place], wanted, max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _database(uri: str) -> Path | None:
    """The file of the database; None where it is none in a file."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", uri)
    return Path(found[1]) if found else None


def _is_new(uri: str) -> bool:
    file = _database(uri)
    return file is not None and not (file.exists() and file.stat().st_size)


def _is_whole(child: Run) -> bool:
    return bool(child.info.status == RunStatus.to_string(RunStatus.FINISHED))


@contextmanager
def _without_news() -> Iterator[None]:
    """A block in which MLflow logs warnings only, unless the environment says what it shall log."""
    loggers = (
        [] if "MLFLOW_LOGGING_LEVEL" in os.environ else [logging.getLogger(name) for name in ("mlflow", "alembic")]
    )
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(max(logger.level, logging.WARNING))
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _metrics(values: Mapping[str, float | None], moment: int, step: int) -> list[Metric]:
    return [Metric(name, float(value), moment, step) for name, value in values.items() if value is not None]


def _course(records: Sequence[EpochRecord], begun: int, ended: int) -> list[Metric]:
    """The epochs of a trial, over all learning rates that it tried; a step is an epoch, from 1. Their times lie between
    its beginning and its end, in milliseconds, in proportion to how long they took.
    """
    whole = sum(record.seconds for record in records) or 1.0
    found, seconds = [], 0.0
    for step, record in enumerate(records, 1):
        seconds += record.seconds
        values = {"reward": record.reward, "train_loss": record.train_loss, "learning_rate": record.learning_rate}
        values |= {"seconds": record.seconds, **record.measures}
        moment = begun + round((ended - begun) * seconds / whole)
        found += _metrics({EPOCH + name: value for name, value in values.items()}, moment, step)
    return found


def _params(values: Mapping[str, Any]) -> list[Param]:
    return [Param(name, str(value)[:_LONGEST]) for name, value in values.items()]
