"""MLflow's own client on a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.application.run_files import RunFiles
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.reporting.tracking import Points, history_points, show_run, trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.finished_run import copied
from tests.reporting.shown import NO_TRAINER, show

pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs the extra: metaqnn-orch[mlflow]"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of its own, about its database
]


def client_of(uri: str) -> Any:
    import mlflow  # every process that collects tests would wait for it a second

    return mlflow.MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database: to make its tables takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "ml.db"
    client_of(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts into the working folder
    shutil.copy(made, tmp_path)
    return f"sqlite:///{tmp_path / 'ml.db'}"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # it would rather have a database
    return (tmp_path / "mlruns").as_uri()


def test_parent_and_children_and_none_of_them_twice(tmp_path: Path, database: str) -> None:
    store = DirectoryStore(tmp_path / "store")
    makers = trackers(TrackingSettings(mlflow=database, mlflow_experiment="searches"))
    for goal, finished in ((5, True), (12, True), (12, True)):
        session = Session(store, settings(execution__max_trials=goal), f"to-{goal}")
        session.run_to_end()
        show(store, makers)
        assert finished
    client = client_of(database)
    experiment = client.get_experiment_by_name("searches")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.data.tags["metaqnn.trial"]: run for run in runs if run is not parent}
    assert (len(runs), parent.info.status, parent.info.run_name) == (13, "FINISHED", "test")
    assert parent.data.params["space.max_layers"] == "3"
    trials = read_run(store, "test").state.trials
    assert children.keys() == trials.keys()
    for name, child in children.items():
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.params["net"] == trials[name].net
        assert child.data.metrics["val_accuracy"] == trials[name].val_accuracy
        assert child.info.status == "FINISHED"
    course = client.get_metric_history(parent.info.run_id, "best")
    assert [metric.step for metric in course] == list(range(1, 13))
    assert course[-1].value == read_run(store, "test").state.best.val_accuracy  # type: ignore[union-attr]


def test_a_child_that_was_cut_short_is_made_anew(tmp_path: Path, uri: str) -> None:
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings(execution__max_trials=2)).run_to_end()
    view, makers = read_run(store, "test"), trackers(TrackingSettings(mlflow=uri))
    show(store, makers)
    client = client_of(uri)
    place = [client.get_experiment_by_name("metaqnn").experiment_id]
    child = client.search_runs(place, "tags.metaqnn.trial LIKE '%'")[0]
    client.update_run(child.info.run_id, "RUNNING")
    show(store, makers)
    children = client.search_runs(place, "tags.metaqnn.trial LIKE '%'")
    assert {run.info.status for run in children} == {"FINISHED"}
    assert {run.data.tags["metaqnn.trial"] for run in children} == view.state.trials.keys()
    assert len(children) == 2


def test_in_a_database_with_the_epochs_as_steps_and_the_best_net_as_artifacts(tmp_path: Path, database: str) -> None:
    store, view = copied(tmp_path / "store")
    files = RunFiles(store, view, lambda line: None, NO_TRAINER)
    makers = trackers(TrackingSettings(mlflow=database))
    client = client_of(database)
    for _ in range(2):  # the second time nothing comes twice
        assert show_run(store, view, makers, files) == 8
        runs = client.search_runs([client.get_experiment_by_name("metaqnn").experiment_id])
        (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert len(runs) == 9
        for child in (run for run in runs if run is not parent):
            for name, of in (("epoch.reward", "reward"), ("epoch.train_loss", "train_loss")):
                course = client.get_metric_history(child.info.run_id, name)
                epochs = files.epochs(child.data.tags["metaqnn.trial"])
                assert [(metric.step, metric.value) for metric in course] == [
                    (step, getattr(epoch, of)) for step, epoch in enumerate(epochs, 1)
                ]
                assert all(child.info.start_time <= metric.timestamp <= child.info.end_time for metric in course)
        assert view.state.best is not None
        place = f"best/{view.state.best.trial}"
        there = {artifact.path for artifact in client.list_artifacts(parent.info.run_id, place)}
        assert {path.removeprefix(f"{place}/") for path in there} == {
            *("request.json", "result.json", "history.jsonl", "weights.safetensors")
        }


def test_a_search_that_was_killed_is_completed(tmp_path: Path, database: str) -> None:
    """What was cut off is what a killed process leaves: children that are not complete, a parent without files."""
    store, view = copied(tmp_path / "store")
    files = RunFiles(store, view, lambda line: None, NO_TRAINER)
    tracker = trackers(TrackingSettings(mlflow=database))[0]()
    tracker.begin(view.record, files)
    tracker.show(history_points(store, view, Points())[:3])
    client = client_of(database)
    place = [client.get_experiment_by_name("metaqnn").experiment_id]
    client.update_run(client.search_runs(place, "tags.metaqnn.trial LIKE '%'")[0].info.run_id, "RUNNING")
    show_run(store, view, trackers(TrackingSettings(mlflow=database)), files)
    runs = client.search_runs(place)
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {run.data.tags["metaqnn.trial"] for run in children} == view.state.trials.keys()
    assert (len(children), len(runs), {run.info.status for run in runs}) == (8, 9, {"FINISHED"})
    (parent,) = [run for run in runs if run not in children]
    assert [artifact.path for artifact in client.list_artifacts(parent.info.run_id)] == ["best"]


class Interrupted:
    """Files whose epochs are read while another machine shows the same trial."""

    def __init__(self, elsewhere: Callable[[str], None]) -> None:
        self._elsewhere = elsewhere

    def epochs(self, trial: str) -> list[EpochRecord]:
        self._elsewhere(trial)
        return []

    def best(self, folder: Path, known: str) -> str:
        return ""


def test_machines_that_show_a_search_on_one_server_agree(tmp_path: Path, uri: str) -> None:
    """Two addresses of one place: neither machine knows of the other one's locks."""
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings(execution__max_trials=3)).run_to_end()
    view = read_run(store, "test")
    points = history_points(store, view, Points())
    from metaqnn_orch.reporting.mlflow_tracker import MlflowTracker  # it imports MLflow

    one, other = MlflowTracker(uri, "metaqnn", host="one"), MlflowTracker(str(tmp_path / "mlruns"), "metaqnn", host="b")
    other.begin(view.record, Interrupted(lambda trial: None))
    one.begin(view.record, Interrupted(lambda trial: other.show([p for p in points if p.trial.trial == trial])))
    one.show(points)
    other.show(points)
    for tracker in (one, other):
        tracker.end(finished=True)
    client = client_of(uri)
    runs = client.search_runs([client.get_experiment_by_name("metaqnn").experiment_id])
    shown = [run.data.tags["metaqnn.trial"] for run in runs if "metaqnn.trial" in run.data.tags]
    assert sorted(shown) == sorted(view.state.trials)
    assert len(runs) == len(shown) + 1
