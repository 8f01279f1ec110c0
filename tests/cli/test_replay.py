"""import-replay and export-replay."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM, TINY, Cli, clean_environment, needs_trainer, program, tree
from tests.control.test_replay_import import FIRST, GOOD, THIRD, file_of, line

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
needs_the_record = pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")
BAD = GOOD + file_of([line(THIRD, 86.0, 9), line("[SM(11)]", 0.5, 9)]).split(b"\n", 1)[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.csv"
    path.write_bytes(GOOD)
    return path


def test_an_import_says_what_it_did(file: Path, store: DirectoryStore, cli: Cli) -> None:
    arguments = ["import-replay", file, "--space", "svhn", "--store", store.uri]
    found = cli(*arguments, "--run", "one", "-o", "json").json()
    assert found | {"q_digest": ""} == {
        "run": "one",
        "rows": 4,
        "refused": 0,
        "reasons": [],
        "unique": 3,
        "epsilon": 1.0,
        "q_digest": "",
    }
    answer = cli(*arguments, "--run", "two")
    assert answer.code == 0
    assert found["q_digest"] in answer.out
    assert "start svhn --run two" in answer.err
    status = cli("status", "two", "--store", store.uri, "-o", "json").json()
    assert (status["told"], status["unique"], status["state"]) == (4, 3, "interrupted")
    assert status["q_digest"] == found["q_digest"]
    assert len(cli("trials", "one", "--store", store.uri, "-o", "json").json()) == 3


def test_settings_may_be_set(file: Path, store: DirectoryStore, cli: Cli) -> None:
    arguments = ["import-replay", file, "--space", "svhn", "--store", store.uri, "-o", "json"]
    one = cli(*arguments, "--run", "one").json()
    two = cli(*arguments, "--run", "two", "--set", "agent.replay_draws=7", "--set", "schedule.total=10").json()
    assert two["q_digest"] != one["q_digest"]
    assert two["epsilon"] == 1.0


def test_refused_rows_are_counted_and_the_first_reasons_said(tmp_path: Path, store: DirectoryStore, cli: Cli) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(BAD)
    arguments = ["import-replay", bad, "--space", "svhn", "--store", store.uri]
    answer = cli(*arguments, "--run", "one")
    assert answer.code == 0
    assert "2 rows were refused:\n  line 6: accuracy_best_val is 86, which is not between 0 and 1\n" in answer.err
    found = cli(*arguments, "--run", "two", "-o", "json").json()
    assert (found["rows"], found["refused"], len(found["reasons"])) == (4, 2, 2)


def test_strict_refuses_the_file(tmp_path: Path, store: DirectoryStore, cli: Cli) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(BAD)
    answer = cli("import-replay", bad, "--run", "one", "--space", "svhn", "--store", store.uri, "--strict")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: bad.csv: 2 rows were refused:\n  line 6: ")
    assert tree(tmp_path) == ["bad.csv"], "nothing was created"
    bad.write_bytes(GOOD)
    assert cli("import-replay", bad, "--run", "one", "--space", "svhn", "--store", store.uri, "--strict").code == 0


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, [], "cannot read"),
        (b"", [], "theirs.csv must have the columns net and accuracy_best_val, each once; it is: empty"),
        (b"\x00" * 100, [], "theirs.csv"),
        (GOOD.splitlines()[0], [], "theirs.csv has no row that can be used"),
        (file_of([line(FIRST, 86.0, 1)]), [], "theirs.csv has no row that can be used"),
        (GOOD, ["--set", "space.classes=7"], "theirs.csv has no row that can be used"),
        (GOOD, ["--space", "nonsense"], "'nonsense' is neither a preset nor a readable file"),
        (GOOD, ["--run", "A"], "run 'A' is not a valid name"),
        (GOOD, ["--set", "recipe.epoch=3"], "unknown setting recipe.epoch"),
        (GOOD, ["--store", "gs://x"], "'gs://x' is not a store"),
    ],
)
def test_bad_input_creates_nothing(
    content: bytes | None, arguments: list[str], says: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "theirs.csv").write_bytes(content)
    before = tree(tmp_path)
    defaults = ["--run", "one", "--space", "svhn", "--store", "new"]
    answer = cli("import-replay", "theirs.csv", *defaults, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert says in answer.err
    assert tree(tmp_path) == before


def test_a_run_that_exists_is_left_alone(file: Path, store: DirectoryStore, cli: Cli) -> None:
    arguments = ["import-replay", file, "--run", "one", "--space", "svhn", "--store", store.uri]
    assert cli(*arguments).code == 0
    before = tree(Path(store.uri))
    assert "a run 'one' exists" in cli(*arguments).refused()
    assert tree(Path(store.uri)) == before


def test_what_needs_what_was_trained_says_where_it_is(
    file: Path, store: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    cli("import-replay", file, "--run", "one", "--space", "svhn", "--store", store.uri)
    where = ("--store", store.uri)
    answer = cli("pull", "one", *where, "--to", tmp_path / "to")
    assert answer.code == 5
    assert "was imported, so its weights are not in this store" in answer.err
    [trial, *_] = [row["trial"] for row in cli("trials", "one", *where, "-o", "json").json()]
    recipe = "--set=finals.phases=[{epochs: 1, learning_rate: 0.02}]"
    before = tree(Path(store.uri))
    for told in (("retrain", "one", trial), ("finals", "one", recipe), ("finals", "one", recipe, "--from-weights")):
        assert "and has no dataset yet" in cli(*told, *where).refused()
    assert tree(Path(store.uri)) == before
    assert cli("gc", "one", *where, "--keep-weights", "best 1").err == "nothing that nobody needs was found\n"


def test_an_import_that_was_cut_short_is_completed_by_itself_alone(file: Path, store: DirectoryStore, cli: Cli) -> None:
    arguments = ["import-replay", file, "--run", "one", "--space", "svhn", "--store", store.uri, "-o", "json"]
    whole = cli(*arguments).json()
    for prefix in (keys.journal("one"), keys.snapshots("one"), keys.run_imported("one")):
        for entry in [*store.list(prefix)]:
            store.delete(entry.key)
    for command in ("status", "trials", "explain", "export-replay"):
        answer = cli(command, "one", "--store", store.uri)
        assert "was interrupted" in answer.refused()
        assert "import-replay" in answer.err
    start = cli("start", "svhn", "--run", "one", "--store", store.uri, "--launcher", "table", "--table", file)
    assert start.code == 2
    assert "was interrupted" in start.err
    assert cli(*arguments).json() == whole


def test_export_to_a_file_and_to_standard_output(file: Path, store: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    cli("import-replay", file, "--run", "one", "--space", "svhn", "--store", store.uri)
    out = cli("export-replay", "one", "--store", store.uri)
    assert (out.code, out.err) == (0, "")
    exported = tmp_path / "exported.csv"
    answer = cli("export-replay", "one", "--store", store.uri, "--to", exported)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"4 rows in {exported}\n"
    assert exported.read_text() == out.out
    assert sorted(out.out.splitlines()) == sorted(GOOD.decode().splitlines())
    for bad in (tmp_path, tmp_path / "no" / "folder.csv"):
        assert "cannot write to" in cli("export-replay", "one", "--store", store.uri, "--to", bad).refused()
    assert "no run 'two'" in cli("export-replay", "two", "--store", store.uri).refused()


@needs_trainer
def test_what_a_fork_wrote_is_gone_on_with_by_the_command_that_is_named_next(tmp_path: Path) -> None:
    """Really trained. The file has the columns of a fork, and semicolons."""
    file, store, settings = tmp_path / "fork.csv", tmp_path / "a store", [word for word in TINY if "--set" in word]
    file.write_text(
        "accuracy_best_val;net;train_flag\n0.91;[C(16,3,1), SM(10)];True\n0.93;[C(32,3,1), P(2,2), SM(10)];True\n"
    )
    begun = program("import-replay", file, "--run", "one", "--space", TINY[0], "--store", store, *settings)
    assert begun.code == 0, begun.err
    assert "fork.csv lacks iter_best_val, " in begun.err
    assert "its rows are taken to be in the order in which the agent learned" in begun.err
    assert "not used of fork.csv: train_flag\n" in begun.err
    [following] = re.findall(r"^next: \S+ (start .*)$", begun.err, re.MULTILINE)
    ended = program(*shlex.split(following), "--parallel", "1", "-o", "json").json()
    assert (ended["state"], ended["unique"]) == ("complete", 5)
    rows = list(csv.DictReader(io.StringIO(program("export-replay", "one", "--store", store).out)))
    assert len(rows) == ended["told"] >= 5
    assert [row["accuracy_best_val"] for row in rows[:2]] == ["0.91", "0.93"]
    assert [float(row["ix_q_value_update"]) for row in rows] == [*range(1, len(rows) + 1)]
    trained = [row for row in rows if row["machine_run_on"] != "unknown"]
    assert len({row["net"] for row in trained}) == 3
    assert all(float(row["time_finished"]) > 1.7e9 for row in trained)
    again = ("--run", "two", "--space", TINY[0], "--store", store, *settings, "-o", "json")
    program("export-replay", "one", "--store", store, "--to", tmp_path / "exported.csv")
    assert program("import-replay", tmp_path / "exported.csv", *again).json()["q_digest"] == ended["q_digest"]


@needs_the_record
def test_the_authors_record_goes_round_and_is_gone_on_with(tmp_path: Path, cli: Cli) -> None:
    """Imported, exported, imported, and then searched on: with the record as a table, and killed on the way."""
    store, total = str(tmp_path / "store"), ("--set", "schedule.total=330")
    for name, source in (("one", RECORDED), ("two", tmp_path / "exported.csv")):
        found = cli(
            "import-replay", source, "--run", name, "--space", "svhn-code", "--store", store, *total, "-o", "json"
        )
        assert (found.json()["rows"], found.json()["refused"]) == (300, 0)
        cli("export-replay", name, "--store", store, "--to", tmp_path / "exported.csv")
    digests = [cli("status", name, "--store", store, "-o", "json").json()["q_digest"] for name in ("one", "two")]
    assert digests[0] == digests[1]
    with (tmp_path / "exported.csv").open(newline="") as exported, RECORDED.open(newline="") as recorded:
        assert list(csv.DictReader(exported)) == list(csv.DictReader(recorded))
    rehearse = ["--store", store, "--launcher", "table", "--table", str(RECORDED), "--parallel", "1", *total]
    with subprocess.Popen(
        [PROGRAM, "start", "svhn-code", "--run", "one", "--table-delay", "0.01", *rehearse],
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "303/330" not in process.stderr.readline():
            assert process.poll() is None
        process.kill()
    for name in ("one", "two"):
        ended = cli("start", "svhn-code", "--run", name, *rehearse, "-o", "json").json()
        assert (ended["state"], ended["unique"]) == ("complete", 330)
        assert 0 < ended["estimated"] <= 30
    ends = [cli("status", name, "--store", store, "-o", "json").json() for name in ("one", "two")]
    assert ends[0]["q_digest"] == ends[1]["q_digest"]
    rows = list(csv.DictReader(io.StringIO(cli("export-replay", "one", "--store", store).out)))
    assert len(rows) == ends[0]["told"]
    assert {row["machine_run_on"].partition(" ")[0] for row in rows[300:]} <= {"table", "unknown"}
    assert sum(row["machine_run_on"].startswith("table") for row in rows) >= 30
    trained = cli("start", "svhn-code", "--run", "one", "--store", store, *total)
    assert "run 'one' is a rehearsal" in trained.refused()
    assert json.loads((Path(store) / keys.run_dataset("one")).read_text())["table"] == RECORDED.name
