"""MLflow's own client on a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.reporting.tracking import trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.shown import show

mlflow = pytest.importorskip("mlflow", reason="needs the extra: metaqnn-orch[mlflow]")


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # it would rather have a database
    return (tmp_path / "mlruns").as_uri()


def test_parent_and_children_and_none_of_them_twice(tmp_path: Path, uri: str) -> None:
    store = DirectoryStore(tmp_path / "store")
    makers = trackers(TrackingSettings(mlflow=uri, mlflow_experiment="searches"))
    for goal, finished in ((5, True), (12, True), (12, True)):
        session = Session(store, settings(execution__max_trials=goal), f"to-{goal}")
        session.run_to_end()
        show(store, makers)
        assert finished
    client = mlflow.MlflowClient(tracking_uri=uri)
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
    client = mlflow.MlflowClient(tracking_uri=uri)
    place = [client.get_experiment_by_name("metaqnn").experiment_id]
    child = client.search_runs(place, "tags.metaqnn.trial LIKE '%'")[0]
    client.update_run(child.info.run_id, "RUNNING")
    show(store, makers)
    children = client.search_runs(place, "tags.metaqnn.trial LIKE '%'")
    assert {run.info.status for run in children} == {"FINISHED"}
    assert {run.data.tags["metaqnn.trial"] for run in children} == view.state.trials.keys()
    assert len(children) == 2
