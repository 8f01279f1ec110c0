"""Numbers that nobody would write, and an old journal may hold: whatever reads a run shows it all the same."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from metaqnn_orch import Search
from metaqnn_orch.application.listener import LiveRun
from metaqnn_orch.cli.output import Progress
from metaqnn_orch.cli.view import SearchView
from metaqnn_orch.control.events import Event, Failed, Opened, Proposed, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import load_record
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.metrics import Metrics
from metaqnn_orch.reporting.standing import standing
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, settings_file
from tests.control.world import Session, settings

LONG: Final = 1.7e308  # seconds; of two of them the sum is no number any more
MANY: Final = 10**30
BEGIN, END = "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"
EARLIER, LATER = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"  # than any moment of UTC
NETS: Final = ("[SM(10)]", "[C(64,3,1), SM(10)]", "[C(64,5,1), SM(10)]", "[C(64,1,1), SM(10)]")


@pytest.fixture(params=[(BEGIN, END), ("0001-01-01T00:00:00", "9999-12-31T23:59:59"), (EARLIER, LATER)])
def extreme(request: pytest.FixtureRequest, store: DirectoryStore) -> DirectoryStore:
    """A store with the run `test`: four nets, the last in training."""
    Session(store, settings()).open()
    record = load_record(store, "test")
    begun = {"session": "s", "owner": "o", "version": "0", "goal": MANY, "launcher": "local", "places": MANY}
    begun["devices"] = 1e308
    budget = BudgetSettings(price_per_gpu_hour=1e6, gpu_hours=1e6, wall_clock_hours=1e6)
    first, last = request.param
    events: list[Event] = [Opened.model_validate({"at": first, **begun, "budget": budget})]
    trials = [record.spec(settings(), net).trial_id() for net in NETS]
    for step, (net, trial) in enumerate(zip(NETS, trials, strict=True)):
        events.append(Proposed(step=step, epsilon=1.0, net=net, trial=trial))
    sizes = {"params": MANY, "macs": MANY, "seconds": LONG, "images_per_second": 1e308, "attempt": MANY}
    for trial, at in zip(trials[:3], (last, first, "no time"), strict=True):
        events.append(
            Told.model_validate({"at": at, "trial": trial, "status": "completed", "val_accuracy": 0.5, **sizes})
        )
    for at in (first, last):
        events.append(Failed(at=at, trial=trials[3], attempt=MANY, kind=Phase.DISRUPTED, detail="", seconds=LONG))
    events.append(Opened.model_validate({"at": last, **begun, "budget": budget}))
    Journal(store, "test", "s").append(events)
    return store


def no_constant(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize(
    "command",
    [
        *("status test", "status test -o json", "trials test", "trials test -o json", "trials test -o csv"),
        *("explain test", "explain test -o json", "export-replay test"),
        "finals test --set finals.epochs=3 --rate-factor=1e-6 --dataset=missing",
    ],
)
def test_commands_that_read(command: str, extreme: DirectoryStore, cli: Cli) -> None:
    answer = cli(*command.split(), "--store", extreme.uri)
    if command.startswith("finals"):
        assert "has no dataset missing" in answer.refused()
        return
    assert answer.code == 0, answer.err
    assert "nan" not in answer.out
    if "json" in command:
        json.loads(answer.out, parse_constant=no_constant)


def test_a_report(extreme: DirectoryStore, cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    answer = cli("report", "test", "--store", extreme.uri, "--to", tmp_path / "report")
    assert answer.code == 0, answer.err
    assert "NaN" not in (tmp_path / "report/index.html").read_text()


def test_trackers(extreme: DirectoryStore, cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    answer = cli("track", "test", "--store", extreme.uri, "--tensorboard", tmp_path / "board")
    assert answer.code == 0, answer.err


def test_mlflow(extreme: DirectoryStore, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    answer = cli("track", "test", "--store", extreme.uri, "--mlflow", f"{(tmp_path / 'mlruns').as_uri()}")
    assert answer.code == 0, answer.err


def test_python(extreme: DirectoryStore) -> None:
    pytest.importorskip("pandas")
    search = Search("test", extreme.uri)
    assert len(search.frame()) == 4
    assert "best 0.5000" in repr(search)
    json.dumps(search.status, allow_nan=False)


def test_metrics(extreme: DirectoryStore) -> None:
    pytest.importorskip("prometheus_client")
    Metrics("test").begin(read_run(extreme, "test").state, MANY)


@pytest.mark.parametrize("now", [BEGIN, END, "no time"])
def test_the_screen(now: str, extreme: DirectoryStore) -> None:
    view = read_run(extreme, "test")
    console = Console(force_terminal=True, force_interactive=True, width=100, height=40)
    with (
        SearchView(console, LiveRun(view.record, view.state, foot="", now=lambda: now)) as shown,
        console.capture() as captured,
    ):
        for event in Journal(extreme, "test").read():
            shown.happened(event) if not isinstance(event, Told) else shown.recall([event])
        shown.refresh()
    assert "nan" not in captured.get()
    numbers = standing(view.state, now)
    assert not any(math.isnan(value) for value in (numbers.images_per_second, numbers.used.gpu_hours))


def test_lines(extreme: DirectoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    view = read_run(extreme, "test")
    with SearchView(Progress(), LiveRun(view.record, view.state, foot="", now=lambda: END)) as shown:
        for event in Journal(extreme, "test").read():
            shown.happened(event)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert max(map(len, lines)) < 200, "and it can be read"


@pytest.mark.parametrize("seconds", [(), ("--trial-seconds=1e7",)])
def test_a_bill(seconds: tuple[str, ...], extreme: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    more = ("--gpu-hours=1", "--price-per-gpu-hour=1e6", "--money=1", *seconds)
    command = ("start", settings_file(tmp_path, settings()), "--store", extreme.uri, "--dry-run", *more)
    for run in ("test", "new"):
        assert cli(*command, "--run", run).code == 0
        json.loads(cli(*command, "--run", run, "-o", "json").out, parse_constant=no_constant)
