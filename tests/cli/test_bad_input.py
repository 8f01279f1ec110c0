"""What people may type by mistake or on purpose: exit 2, one line, nothing created, whichever command meets it.

Files and settings have their cases in test_config.py and test_sources.py, nets in test_describe.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from metaqnn_orch.cli.app import build_app
from metaqnn_orch.cli.flags import SEARCH, TRACKING
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, program, settings_file, tree
from tests.control.world import settings

NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc",
    "%2e%2e",
    "a\nb",
    "a\\b",
    "\U0001f600",
    "x" * 300,
    "Upper",
    "trailing-",
    "under_score",
    "\x1b[2J",
    "\u0660",
    "a b",
    "$(reboot)",
    "{{ .Values }}",
]

STORES = [
    "",
    "s3://",
    "s3://Bucket",
    "s3://bucket//a",
    "s3://bucket/../a",
    "s3://key:hunter2@bucket/a",
    "gs://bucket",
    "https://key:hunter2@host/bucket",
    "file://host/runs",
    "a\nb",
    "\x1b[2J",
    "~no-such-user-here/runs",
]


@pytest.fixture(autouse=True)
def _somewhere_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "replay.csv").write_text("net,accuracy_best_val,ix_q_value_update,epsilon\n[SM(10)],0.5,0,1.0\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


WITH_STORE = {
    "start": ["digits", "--run=RUN"],
    "status": ["--", "RUN"],
    "trials": ["--", "RUN"],
    "pull": ["--to=there", "--", "RUN"],
    "explain": ["--", "RUN"],
    "import-replay": ["../replay.csv", "--space=digits", "--run=RUN"],
    "export-replay": ["--to=there.csv", "--", "RUN"],
    "dataset push": ["digits"],
    "dataset list": [],
}
"""The commands that take a store, with what else they need."""

WITH_RUN = ["status", "trials", "pull", "explain", "export-replay"]
"""Those that read a run."""


def with_store(command: str, store: str, run: str = "first") -> list[str]:
    return [*command.split(), f"--store={store}", *(word.replace("RUN", run) for word in WITH_STORE[command])]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", [command for command in WITH_STORE if "dataset" not in command])
def test_a_name_that_is_none(command: str, name: str, cli: Cli) -> None:
    refusal = cli(*with_store(command, "new", name)).refused()
    assert "is not a valid name: use 1 to 40 of a-z, 0-9 and '-'" in refusal
    assert len(refusal) < 250
    assert tree(Path()) == []


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("command", WITH_STORE)
def test_a_store_that_is_none(command: str, store: str, cli: Cli) -> None:
    answer = cli(*with_store(command, store))
    assert len(answer.refused()) < 400
    assert "hunter2" not in answer.err
    assert tree(Path()) == []


def test_a_name_that_looks_like_a_flag(cli: Cli) -> None:
    cli("start", "digits", "--run=-rf", "--store=new").refused()
    cli("status", "--store=new", "--", "-rf").refused()
    assert tree(Path()) == []


@pytest.mark.parametrize("flag", ["--parallel", "--max-trials", "--seed"])
@pytest.mark.parametrize("number", ["-1", "nan", "inf", "1e3", "0.5", "1" * 400, "\u0663", "", "0x10", "true"])
def test_a_number_that_is_none(flag: str, number: str, cli: Cli) -> None:
    refusal = cli("start", "digits", "--run=first", "--store=new", f"{flag}={number}").refused()
    assert flag in refusal
    assert len(refusal) < 700
    assert tree(Path()) == []


@pytest.mark.parametrize(
    "assignment",
    [
        "recipe.learning_rate=.nan",
        "recipe.learning_rate=.inf",
        "recipe.learning_rate=1e999",
        "recipe.learning_rate=-1",
        "recipe.epochs=1" + "0" * 400,
        "recipe.epochs=0",
        "recipe.epochs=" + "9" * 5000,
        "seed=18446744073709551617",
        "execution.parallel=1000000",
        "execution.parallel=300",
        "schedule.phases=[]",
        "schedule.phases=[{epsilon: 1.5, unique: 1}]",
        "schedule.phases=[{epsilon: .nan, unique: 1}]",
        "schedule.total=0",
        "space.max_params=1",
        "space.max_layers=1000000",
        "space.image_size=0",
        "space.convolution.filters=[]",
        "space.convolution.filters=[0]",
        "space.convolution.kernels=[-1]",
        "agent.learning_rate=2",
        "execution.early_end.rule=third",
        "execution.early_end={rule: quarter, examples: 9}",
        "execution.early_end={rule: prediction, examples: 19}",
        "dataset.name=../../etc/passwd",
        "no.such=1",
        "nonsense",
        "=",
        "\x1b[2J=1",
        "seed=\x1b[2J",
        "seed=!!python/object/apply:os.system [reboot]",
        "seed={a: &b 1, c: *b}",
        "seed=" + "[" * 5000,
    ],
)
def test_an_assignment_that_is_none(assignment: str, cli: Cli) -> None:
    for command in (["start", "digits", "--run=first", "--store=new"], ["config", "show", "digits"]):
        if assignment == "execution.parallel=300" and command[0] == "config":
            continue  # other launchers may have as many
        refusal = cli(*command, f"--set={assignment}").refused()
        assert len(refusal) < 400
    assert tree(Path()) == []


JOURNAL = keys.journal_entry("test", 3)


@pytest.mark.parametrize(
    ("key", "change", "code"),
    [
        (JOURNAL, lambda data: b"", 3),
        (JOURNAL, lambda data: data[:-7], 3),
        (JOURNAL, lambda data: bytes(range(256)), 3),
        (JOURNAL, lambda data: b"\x1b[2J\x1b]0;owned\x07" + data, 3),
        (JOURNAL, lambda data: data.replace(b'"type":"', b'"type":"not-'), 3),
        (JOURNAL, lambda data: data.replace(b"0.", b"NaN", 1) + b'{"type":"told","val_accuracy":NaN}\n', 3),
        (JOURNAL, lambda data: b"[" * 100_000, 3),
        (keys.run_record("test"), lambda data: b"", 2),
        (keys.run_record("test"), lambda data: b"\x1b[2J" + data, 2),
        (keys.run_record("test"), lambda data: json.dumps(json.loads(data) | {"schema_version": 2}).encode(), 2),
        (keys.run_record("test"), lambda data: json.dumps(json.loads(data) | {"\x1b[2J": 1}).encode(), 2),
        (keys.run_record("test"), lambda data: json.dumps(json.loads(data) | {"run": "other"}).encode(), 2),
    ],
)
def test_a_run_that_somebody_edited(
    key: str, change: object, code: int, finished: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    assert callable(change)
    finished.put(key, change(finished.get(key)))
    own = settings_file(tmp_path, settings())
    before = {entry.key for entry in finished.list("")}
    calls = [with_store(command, finished.uri, "test") for command in WITH_RUN]
    for call in [*calls, ["start", str(own), "--run=test", f"--store={finished.uri}"]]:
        refusal = cli(*call).refused(code)
        assert key in refusal
        assert len(refusal) < 600
    assert tree(Path()) == []
    assert {entry.key for entry in finished.list("")} - {keys.holder("test")} == before - {keys.holder("test")}


def test_a_gap_in_the_journal_is_named(finished: DirectoryStore, cli: Cli) -> None:
    finished.delete(JOURNAL)
    assert JOURNAL in cli("status", "test", "--store", finished.uri).refused(3)


def test_a_store_that_is_a_file(cli: Cli) -> None:
    Path("file").write_text("no store")
    for command in WITH_STORE:
        answer = cli(*with_store(command, "file"))
        assert answer.refused(answer.code)
        assert answer.code in (2, 5)
    assert Path("file").read_text() == "no store"
    assert tree(Path()) == ["file"]


def test_bytes_that_are_no_text_at_all(tmp_path: Path) -> None:
    evil = "\udcff\udcfe\x1b[2J"  # what Python makes of arguments that are not UTF-8
    for line in (["status", evil], ["start", evil, "--run=a"], ["start", "digits", f"--run={evil}"]):
        assert program(*line, "--store", tmp_path / "new").refused()
    assert program("status", "a", "--store", evil).refused()
    assert program("describe", evil, "--space", "digits").refused()
    assert not (tmp_path / "new").exists()


def numbers(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The options of all commands that take a number with a fraction, each with its command."""
    for leaf, below in getattr(command, "commands", {}).items():
        yield from numbers(below, f"{name} {leaf}".strip())
    yield from ((name, one) for one in command.params if str(one.type_descriptor.annotation).find("float") >= 0)


SETTINGS: Final = {*(name for flags in (SEARCH, TRACKING) for name in flags)}
NUMBERS: Final = [*numbers(typer.main.get_command(build_app()))]


def test_every_number_with_a_fraction_has_limits() -> None:
    """Those that are settings have them there."""
    without = [(name, one.name) for name, one in NUMBERS if one.name not in SETTINGS and None in (one.min, one.max)]
    assert without == []
    assert {"mcp", "report", "start", "finals", "trainer check"} <= {name for name, _ in NUMBERS}


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
@pytest.mark.parametrize("flag", [one.opts[0] for name, one in NUMBERS if name == "start"])
def test_a_number_without_end_is_refused_by_its_name(flag: str, value: str, tmp_path: Path, cli: Cli) -> None:
    said = cli("start", "digits", "--run=x", "--store", tmp_path / "store", f"{flag}={value}").refused()
    assert flag.removeprefix("--").replace("-", "_") in said.replace("-", "_")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1", "1e-320"])
def test_a_budget_of_hours_is_a_number_of_hours(value: str, tmp_path: Path, cli: Cli) -> None:
    start = ("mcp", "--store", tmp_path / "store", "--allow=start")
    assert "--budget-hours" in cli(*start, f"--budget-hours={value}").refused()
    assert "--budget-trials" in cli(*start, "--budget-trials=0").refused()


def test_trials_of_no_seconds_are_not_previewed(tmp_path: Path, cli: Cli) -> None:
    start = ("start", "digits", "--run=x", "--store", tmp_path / "store", "--dry-run")
    assert "--trial-seconds" in cli(*start, "--trial-seconds=0").refused()
