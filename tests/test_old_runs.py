"""Runs that an earlier release wrote stay readable, and are gone on with: the data in tests/fixtures are its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from metaqnn_orch import Search
from metaqnn_orch.application.trial_view import trial_view
from metaqnn_orch.dashboard import answers
from metaqnn_orch.dashboard.reader import RunReader
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.store.directory import DirectoryStore

RELEASES = sorted((Path(__file__).parent / "fixtures").iterdir())
BELIEFS = {
    "finished": (8, 14, "630b38a28c1ceabab028f1f1d8b01001b06a17a768c2d5b2d753e68bf3f9c462"),
    "interrupted": (2, 2, "66ba9fbcdee962828834d8b1b7b7b2c93aa7623359b6f396652408ad8eaa23e6"),
    "rehearsal": (24, 70, "70a975e67f3412aa1c450c97338f2d645059ee6eb3acd70fe363d0360f120cea"),
}


@pytest.fixture(params=RELEASES, ids=lambda folder: str(folder.name))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, which may be changed."""
    return Path(shutil.copytree(request.param, tmp_path / "release"))


@pytest.mark.parametrize("run", BELIEFS)
def test_they_fold_to_the_same_beliefs(folder: Path, run: str) -> None:
    search = Search(run, folder / "store")
    assert (search.state.unique, search.state.told, search.status["q_digest"]) == BELIEFS[run]


@pytest.mark.parametrize("run", BELIEFS)
def test_they_keep_the_rules_that_they_began_with(folder: Path, run: str) -> None:
    search = Search(run, folder / "store")
    assert search.settings.space.gap_after_fc
    assert search.settings.space.gap_at_depth_limit


def test_an_interrupted_one_is_gone_on_with(folder: Path) -> None:
    before = [trial.trial for trial in Search("interrupted", folder / "store").trials]
    settings = {
        "schedule.total": 8,
        "recipe.epochs": 60,
        "space.max_params": 8000,
        "space.convolution": {"filters": [8, 16], "kernels": [1, 3]},
        "execution.max_trials": 4,
    }
    search = Search.start("digits", run="interrupted", store=folder / "store", settings=settings)
    assert search.state.unique == 4
    assert [trial.trial for trial in search.trials][: len(before)] == before, "what was in training is not drawn anew"


def test_a_rehearsal_is_gone_on_with(folder: Path) -> None:
    search = Search.start(
        "svhn",
        run="rehearsal",
        store=folder / "store",
        launcher="table",
        table=folder / "table.csv",
        settings={"schedule.total": 24, "execution.parallel": 4},
    )
    assert (search.state.unique, search.status["q_digest"]) == (24, BELIEFS["rehearsal"][2])


def test_its_learning_curves_are_read_from_the_histories(folder: Path) -> None:
    search = Search("finished", folder / "store")
    assert not any(trial.curve for trial in search.state.trials.values()), "the journal of then has none"
    curves = {trial.trial: (trial.state, trial.curve, trial.reward) for trial in search.trials}
    learned = [(curve, reward) for state, curve, reward in curves.values() if state == "completed"]
    assert learned
    assert all(len(curve) == 2 and max(curve) == reward for curve, reward in learned)
    assert all(curve for state, curve, _ in curves.values() if state == "untrainable"), "its last learning rate's"
    store = DirectoryStore(folder / "store")
    views = [trial_view(store, read_run(store, "finished"), trial, works=False) for trial in search.trials]
    assert {view["trial"]: view["curve"] for view in views} == {name: curve for name, (_, curve, _) in curves.items()}
    assert search.best is not None
    assert '<svg class="spark"' in search._repr_html_()
    assert not any(trial.curve for trial in Search("rehearsal", folder / "store").trials), "nothing was trained"


def test_the_dashboard_shows_its_learning_curves(folder: Path) -> None:
    reader = RunReader(DirectoryStore(folder / "store"), "finished", patience=60)
    reader.look()
    curves = answers.figure_list(reader)["curves"]
    assert len(curves) == sum(row["epochs"] is not None for row in answers.trials(reader)) > 0
    answers.figure_spec(reader, f"{answers.CURVES}{curves[0]}")
    at_chance = next(row["trial"] for row in answers.trials(reader) if row["state"] == "untrainable")
    assert at_chance in curves
    assert answers.trial(reader, curves[0])["no_curve"] == ""


def test_its_best_nets_are_pulled_and_exported(folder: Path, tmp_path: Path) -> None:
    search = Search("finished", folder / "store")
    exported = search.export(tmp_path / "best.safetensors")
    assert search.best is not None
    assert exported.accuracy == pytest.approx(search.best.val_accuracy, abs=1e-6)
