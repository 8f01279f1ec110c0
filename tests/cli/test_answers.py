"""The promise to scripts: every command with `-o json` has a schema, what it prints is by it, and no field goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from docs.answers import EXAMPLES, page, rows, schema_file, schemas, stem
from docs.document import PAGES

from metaqnn_orch.cli.answers import ANSWERS, asked
from metaqnn_orch.cli.app import COMMANDS, build_app
from metaqnn_orch.reporting.schemas import plain
from metaqnn_orch.reporting.summary import status_of, trial_rows
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli
from tests.cli.promised import HELD, promises, validator
from tests.control.world import Session, settings
from tests.reporting.runs import write_run, write_run_with_stopped_nets


def speaks_json(command: Any) -> bool:
    formats: list[Any] = [type(parameter.default) for parameter in command.params if "--output" in parameter.opts]
    return any("json" in [*values] for values in formats)


def test_every_command_that_speaks_json_has_a_schema() -> None:
    app: Any = typer.main.get_command(build_app())
    without = []
    for name in COMMANDS:
        command = app
        for word in name.split():
            command = command.commands[word]
        if speaks_json(command) != (name in ANSWERS):
            without.append(name)
    assert without == [], "cli/answers.py says what these print"
    assert {name.partition(" --")[0] for name in ANSWERS} <= COMMANDS.keys()


def test_no_field_that_scripts_rely_on_goes_or_changes_its_type() -> None:
    held, present = HELD.read_text().splitlines(), [*promises()]
    assert [line for line in held if line not in present] == [], "scripts read these; a field keeps its name and type"
    assert [line for line in present if line not in held] == [], f"new fields: add these lines to {HELD.name}"


@pytest.mark.parametrize("name", ANSWERS)
def test_every_field_is_explained_and_every_object_open(name: str) -> None:
    found = [row.path for row in rows(schemas()[name]) if not row.meaning and not row.path.endswith(("[]", "*"))]
    assert [path for path in found if path] == [], "a docstring below the field says what it means, and its unit"
    assert '"additionalProperties": false' not in json.dumps(schemas()[name])


@pytest.mark.parametrize("name", ANSWERS)
def test_every_example_is_by_its_schema(name: str) -> None:
    validator(name).validate(json.loads((EXAMPLES / f"{stem(name)}.json").read_text()))


def test_the_page_and_the_schemas_are_what_the_code_says() -> None:
    assert (PAGES / "json.md").read_text() == page(), "make docs"
    assert (PAGES / "answers.schema.json").read_text() == schema_file(), "make docs"


@pytest.mark.parametrize(
    ("command", "arguments", "name"),
    [
        ("start", ["start", "digits", "-o", "json"], "start"),
        ("start", ["start", "digits", "--dry-run"], "start --dry-run"),
        ("space", ["space", "digits", "--after", ""], "space --after"),
        ("space", ["space", "digits"], "space"),
    ],
)
def test_an_option_may_ask_for_another_answer(command: str, arguments: list[str], name: str) -> None:
    assert asked(command, arguments) == name


def test_a_broken_answer_is_noticed(tmp_path: Path) -> None:
    view = write_run(DirectoryStore(tmp_path))
    row = plain(trial_rows(view.state, works=True))[0]
    validator("trials").validate([row])
    for broken in ({**row, "reward": "0.9"}, {**row, "state": "lost"}, {key: row[key] for key in row if key != "net"}):
        assert not validator("trials").is_valid([broken])
    assert validator("trials").is_valid([{**row, "of_a_later_version": 1}])


@pytest.mark.parametrize("write", [write_run, write_run_with_stopped_nets])
def test_trials_of_all_kinds_are_by_the_schema(write: Any, tmp_path: Path, cli: Cli) -> None:
    """Abandoned, in flight, stopped early, with attempts lost."""
    store = DirectoryStore(tmp_path)
    view = write(store)
    validator("status").validate(plain(status_of(store, view, None)))
    name = view.record.run
    assert len(cli("trials", name, "--store", tmp_path, "-o", "json").json()) == len(view.state.trials)
    assert cli("explain", name, "--store", tmp_path, "-o", "json").json()["moves"]


def test_a_run_without_any_result_is_by_the_schema(tmp_path: Path, cli: Cli) -> None:
    Session(DirectoryStore(tmp_path), settings(), run="empty").open()
    assert cli("status", "empty", "--store", tmp_path, "-o", "json").json()["best"] is None
    assert cli("trials", "empty", "--store", tmp_path, "-o", "json").json() == []
