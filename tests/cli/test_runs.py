"""metaqnn-orch runs: what a person and a script see of the runs of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.application.machine import folder_of, lines_of
from metaqnn_orch.control.holder import Hold, this_process
from metaqnn_orch.control.partial import Partial
from metaqnn_orch.launchers.kept_lines import KeptLines, lines_in
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, tree


def test_list_tells_each_run_in_a_line(cli: Cli, finished: DirectoryStore) -> None:
    finished.put(keys.partial("half"), encode(Partial(what="removal", at="2026-01-01T12:00:00.000+00:00")))
    finished.put(keys.journal_entry("stray", 7), b"{}")
    answer = cli("runs", "list", "--store", finished.uri)
    assert answer.code == 0
    header, *rows = answer.out.splitlines()
    assert header.split("  ")[0] == "run"
    assert [row.split()[0] for row in rows] == ["half", "stray", "test"]
    assert "removed in part" in rows[0]
    assert "2026-01-01 12:00" in rows[0]
    assert "remains" in rows[1]
    assert rows[2].split()[:4] == ["test", "complete", "digits", "12/12"]
    assert f"half: metaqnn-orch runs rm half --store {finished.uri} --delete removes it" in answer.err
    by_name = {row["run"]: row for row in cli("runs", "list", "--store", finished.uri, "-o", "json").json()}
    assert by_name["test"]["best"]["reward"] == by_name["test"]["best"]["val_accuracy"]
    assert by_name["test"]["bytes"] == sum(entry.size for entry in finished.list("runs/test/"))
    assert by_name["half"]["state"] == "removed in part"


def test_list_of_nothing_is_empty(cli: Cli, store: DirectoryStore) -> None:
    Path(store.uri).mkdir()
    answer = cli("runs", "list", "--store", store.uri)
    assert (answer.code, answer.err) == (0, f"there are no runs in {store.uri} yet\n")
    assert cli("runs", "list", "--store", store.uri, "-o", "json").json() == []


READS: Final = [
    *("runs list", "runs list -o json", "runs show first", "runs copy first --name=x", "runs rename first x"),
    *("runs rm first", "runs rm first --delete", "status first", "trials first", "trial first 0ee047", "attach first"),
    *("pull first --to=there", "report first --to=there", "export first --to=there.onnx", "explain first"),
    *("export-replay first", "logs first", "cancel first", "gc first", "track first --tensorboard=there"),
    *("enqueue first [SM(10)]", "resume first", "finals first", "retrain first 0ee047", "dataset list", "init pets"),
]


@pytest.mark.parametrize("command", READS)
def test_a_store_that_is_not_there_is_said_and_not_made(
    command: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "runs").mkdir(parents=True)
    before = tree(tmp_path)
    answer = cli(*command.split(), "--store", "./rusn")
    assert answer.refused() == f"there is no store at {tmp_path}/rusn: no such folder"
    assert f"did you mean --store {tmp_path}/runs?" in answer.err
    assert tree(tmp_path) == before
    inside = cli(*command.split(), "--store", "./runs/runs/first")
    assert f"did you mean --store {tmp_path}/runs?" in inside.err
    assert tree(tmp_path) == before


def test_show_names_the_settings_that_differ_from_the_preset(cli: Cli, finished: DirectoryStore) -> None:
    answer = cli("runs", "show", "test", "--store", finished.uri)
    assert answer.code == 0
    assert "space.max_layers" in answer.out
    assert "preset digits" in answer.out
    told = cli("runs", "show", "test", "--store", finished.uri, "-o", "json").json()
    assert told["preset"] == "digits"
    assert told["settings"]["space.max_layers"]["run"] == 3
    assert told["session"]["launcher"] == "scripted"
    assert told["session"]["settings"] == {"execution": {}, "tracking": {}}
    assert told["size"]["weights"]["objects"] == 12
    assert sum(kind["bytes"] for kind in told["size"].values()) == sum(e.size for e in finished.list("runs/test/"))


def test_copy_rename_and_rm_do_what_they_say(cli: Cli, finished: DirectoryStore) -> None:
    where = ("--store", finished.uri)
    copied = cli("runs", "copy", "test", "--name", "two", *where, "-o", "json").json()
    assert (copied["run"], copied["source"]) == ("two", "test")
    assert cli("runs", "rename", "two", "three", *where).err.startswith("run two is now three: ")
    before = list(finished.list("runs/"))
    dry = cli("runs", "rm", "three", *where)
    assert dry.err.endswith("to remove them, add --delete\n")
    assert list(finished.list("runs/")) == before
    told = cli("runs", "rm", "three", *where, "-o", "json").json()
    assert (told["deleted"], told["objects"]) == (False, len(list(finished.list("runs/three/"))))
    assert cli("runs", "rm", "three", *where, "--delete", "-o", "json").json() == {**told, "deleted": True}
    assert {entry.key.split("/")[1] for entry in finished.list("runs/")} == {"test"}


def test_a_copy_from_before_the_run_went_on_is_not_taken_for_the_run(cli: Cli, finished: DirectoryStore) -> None:
    where = ("--store", finished.uri)
    entries = sorted(entry.key for entry in finished.list(keys.journal("test")))
    last = finished.get(entries[-1])
    finished.delete(entries[-1])
    assert cli("runs", "copy", "test", "--name", "two", *where).code == 0
    assert cli("runs", "copy", "test", "--name", "two", *where).code == 0, "it is whole"
    finished.put(entries[-1], last)  # the run went on
    before = {entry.key: finished.get(entry.key) for entry in finished.list("runs/") if "holder" not in entry.key}
    for command in (("copy", "test", "--name", "two"), ("rename", "test", "two")):
        refused = cli("runs", *command, *where)
        assert refused.code == 2
        assert "is a copy of run test from before test went on" in refused.err
        assert "metaqnn-orch runs rm two" in refused.err
    assert {key: finished.get(key) for key in before} == before
    assert cli("runs", "rm", "two", *where, "--delete").code == 0
    assert cli("runs", "rename", "test", "two", *where).code == 0


@pytest.mark.parametrize("record", [b"{", b'{"schema_version": 1}'])
def test_a_run_with_a_damaged_record_can_be_removed(cli: Cli, finished: DirectoryStore, record: bytes) -> None:
    finished.put(keys.run_record("test"), record)
    where = ("--store", finished.uri)
    assert cli("runs", "rm", "test", *where).code == 0
    assert [*finished.list("runs/")]
    assert cli("runs", "rm", "test", *where, "--delete").code == 0
    assert [*finished.list("runs/")] == []


def test_what_the_machine_keeps_goes_along_and_goes_away(
    cli: Cli, finished: DirectoryStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    where = ("--store", finished.uri)
    assert cli("runs", "rm", "test", *where, "-o", "json").json()["kept_here"] == {"objects": 0, "bytes": 0}
    for run, lines in (("test", "of test"), ("two", "of an earlier run two"), ("other", "of another")):
        KeptLines(lines_of(finished.uri, run)).begin("a" * 12, lines)
    assert cli("runs", "rename", "test", "two", *where).code == 0
    assert (lines_in(lines_of(finished.uri, "test"), "a" * 12)) == []
    assert (lines_in(lines_of(finished.uri, "two"), "a" * 12)) == ["of test"]
    dry = cli("runs", "rm", "two", *where)
    assert ", and 1 log on this machine with 8 bytes; to remove them, add --delete" in dry.err
    assert "logs on this machine" in dry.out
    assert (lines_in(lines_of(finished.uri, "two"), "a" * 12)) == ["of test"]
    told = cli("runs", "rm", "two", *where, "--delete", "-o", "json").json()
    assert told["kept_here"] == {"objects": 1, "bytes": 8}
    assert not folder_of(finished.uri, "two").exists()
    assert (lines_in(lines_of(finished.uri, "other"), "a" * 12)) == ["of another"]


def test_a_removal_that_was_cut_short_is_finished(cli: Cli, finished: DirectoryStore) -> None:
    finished.put(keys.partial("test"), encode(Partial(what="removal", at="now")))
    finished.delete(keys.run_record("test"))
    assert "was removed in part" in cli("status", "test", "--store", finished.uri).refused()
    assert "was removed in part" in cli("start", "digits", "--run", "test", "--store", finished.uri).refused()
    assert cli("runs", "rm", "test", "--store", finished.uri, "--delete").err.startswith("what is left of run test")
    assert list(finished.list("runs/")) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("copy", "test"), 2, "a copy in the same store needs a name"),
        (("copy", "test", "--name", "test"), 2, "cannot be copied to itself"),
        (("copy", "test", "--name", "No"), 2, "not a valid name"),
        (("rename", "test", "test"), 2, "has that name already"),
        (("rename", "tes", "other"), 2, "no run 'tes'"),
        (("rm", "tes"), 2, "no run 'tes'"),
        (("rm", "../x"), 2, "not a valid name"),
        (("show", "tes"), 2, "no run 'tes'"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    cli: Cli, finished: DirectoryStore, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = list(finished.list(""))
    assert words in cli("runs", *arguments, "--store", finished.uri).refused(code)
    assert list(finished.list("")) == before


def test_a_held_run_stays(cli: Cli, finished: DirectoryStore) -> None:
    Hold(finished, "test", this_process("other", "now"), lambda: 0.0).beat("now")
    for arguments in (("rm", "test"), ("rm", "test", "--delete"), ("rename", "test", "other")):
        assert "is held by process" in cli("runs", *arguments, "--store", finished.uri).refused(4)
    assert cli("runs", "list", "--store", finished.uri, "-o", "json").json()[0]["state"] == "complete"
