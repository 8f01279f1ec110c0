from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, program, settings_file
from tests.control.world import settings
from tests.seaweedfs import free_ports


def test_a_run_is_shown_where_somebody_asks_for_it(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("tensorboardX")
    answer = cli("track", "test", "--store", finished.uri, "--tensorboard", tmp_path / "boards")
    assert (answer.code, answer.err) == (0, "12 trials of run test were copied\n")
    assert len(list((tmp_path / "boards" / "test").iterdir())) == 1
    assert cli("track", "test", "--store", finished.uri).refused() == "no tracker is named"


def test_a_tracker_that_does_not_work_fails_track_and_not_start(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("tensorboardX")
    table = tmp_path / "table.csv"
    table.write_text('net,accuracy\n"[SM(10)]",0.5\n"[GAP(10), SM(10)]",0.2\n')
    (tmp_path / "boards").write_text("a file, and no folder")
    file, store = settings_file(tmp_path, settings(dataset__digest=None)), tmp_path / "store"
    rehearsal = ("start", file, "--run", "one", "--store", store, "--launcher", "table", "--table", table)
    answer = cli(*rehearsal, "--tensorboard", tmp_path / "boards")
    assert answer.code == 0
    assert f"TensorBoard in {tmp_path / 'boards'}: " in answer.err
    assert "the run goes on, and what is missing is sent when it works again" in answer.err
    assert "TensorBoard in" in cli("track", "one", "--store", store, "--tensorboard", tmp_path / "boards").refused()


def test_two_first_ones_at_once_make_one_database_and_say_what_takes_long(
    finished: DirectoryStore, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow")
    place = f"sqlite:///{tmp_path / 'ml.db'}"
    copied = program("runs", "copy", "test", "--name", "other", "--store", finished.uri)
    assert copied.code == 0, copied.err
    with ThreadPoolExecutor() as pool:
        made = [
            pool.submit(program, "track", run, "--store", finished.uri, "--mlflow", place) for run in ("test", "other")
        ]
        answers = [one.result() for one in made]
    assert [answer.code for answer in answers] == [0, 0], answers
    assert [answer.out for answer in answers] == ["", ""]
    loading, tables = "loading MLflow", "MLflow makes the tables of a new database"
    assert all(loading in answer.err and "were copied" in answer.err for answer in answers)
    assert sum(tables in answer.err for answer in answers) == 1, "the second one finds them"
    assert not any("INFO" in answer.err for answer in answers), "what MLflow logs is for its own people"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow, about its database
def test_several_first_ones_of_one_run_at_once_copy_each_trial_once(finished: DirectoryStore, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboardX")
    from tests.reporting.test_tensorboard_tracker import scalars

    place, boards = f"sqlite:///{tmp_path / 'ml.db'}", tmp_path / "boards"
    command = ("track", "test", "--store", finished.uri, "--mlflow", place, "--tensorboard", boards)
    with ThreadPoolExecutor() as pool:
        answers = [one.result() for one in [pool.submit(program, *command) for _ in range(3)]]
    busy = [answer for answer in answers if answer.code]
    assert len(busy) < 3, answers
    assert all("another process is at work there" in answer.err for answer in busy), "or it was as quick as that"
    assert children(place) == sorted(read_run(finished, "test").state.trials)
    steps = [step for name, step, _ in scalars(boards / "test") if name == "reward/trial"]
    assert steps == list(range(1, 13))


def children(place: str) -> list[str]:
    """The trials that MLflow has, each as often as it has it. There is one parent."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name("metaqnn")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    shown = [run for run in found if "metaqnn.trial" in run.data.tags]
    assert len(found) == len(shown) + 1
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in shown} == {
        run.info.run_id for run in found if run not in shown
    }
    return sorted(run.data.tags["metaqnn.trial"] for run in shown)


@pytest.mark.usefixtures("own_environment")
def test_a_server_that_does_not_answer_is_told_of_in_time(finished: DirectoryStore, cli: Cli) -> None:
    pytest.importorskip("mlflow")
    begun = time.monotonic()
    answer = cli(
        "track", "test", "--store", finished.uri, "--mlflow", f"http://ada:hunter2@127.0.0.1:{free_ports(1)[0]}"
    )
    assert answer.code == 2
    assert "\nerror: MLflow at http://***@127.0.0.1:" in answer.err
    assert time.monotonic() - begun < 60, "and not in four minutes"
    assert "hunter2" not in answer.err
