"""Messages with a number read well where the number is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

ONE_OF_MANY = re.compile(r"(?<![\w.,/:-])1 (?:[a-z]+ )?(?!bytes|this|is|was|its)[a-zA-Z-]+s\b(?! \()")


def test_a_run_of_one_net_is_told_of_in_the_singular(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("table.csv").write_text('net,accuracy\n"[SM(10)]",0.5\n')
    rehearsal = ("--launcher", "table", "--table", "table.csv", "--max-trials", 1, "--parallel", 1)
    commands: tuple[tuple[object, ...], ...] = (
        ("start", "digits", "--run", "one", *rehearsal, "--dry-run"),
        ("start", "digits", "--run", "one", *rehearsal),
        ("status", "one"),
        ("trials", "one"),
        ("runs", "list"),
        ("runs", "show", "one"),
        ("export-replay", "one", "--to", "replay.csv"),
        ("import-replay", "replay.csv", "--run", "two", "--space", "digits"),
        ("start", "digits", "--run", "two", "--dry-run", "--max-trials", 2),
        ("runs", "copy", "one", "--name", "three"),
        ("runs", "rm", "three"),
        ("track", "one", "--tensorboard", "boards"),
        ("enqueue", "one", "[C(16,3,1), SM(10)]"),
        ("report", "one", "--to", "report"),
    )
    for command in commands:
        answer = cli(*command, "--store", "store")
        assert answer.code == 0, (command, answer.err)
        assert ONE_OF_MANY.findall(answer.out + answer.err) == [], (command, answer.out, answer.err)
    page = re.sub(r"<(script|style|svg).*?</\1>", "", Path("report/index.html").read_text(), flags=re.DOTALL)
    assert ONE_OF_MANY.findall(re.sub(r"<[^>]*>", "", page)) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("1 nets", True), ("1 more nets", True), ("11 nets", False), ("0.1 nets", False), ("1 of 2 nets", False)],
)
def test_what_it_looks_for(text: str, wrong: bool) -> None:
    assert bool(ONE_OF_MANY.search(text)) is wrong
