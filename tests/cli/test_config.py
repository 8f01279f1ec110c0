from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.settings.presets import presets
from tests.cli.conftest import Cli, tree


def test_every_setting_with_its_value_and_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("preset: digits\nrecipe: {epochs: 2, batch_size: 2}\nseed: 2\n")
    monkeypatch.setenv("METAQNN_RECIPE__EPOCHS", "3")
    monkeypatch.setenv("METAQNN_SEED", "3")
    found = cli("config", "show", own, "--set=seed=4", "-o", "json").json()
    assert found["recipe.decay_epochs"] == {"value": 5, "origin": "preset digits"}
    assert found["recipe.batch_size"] == {"value": 2, "origin": str(own)}
    assert found["recipe.epochs"] == {"value": 3, "origin": "METAQNN_RECIPE__EPOCHS"}
    assert found["seed"] == {"value": 4, "origin": "--set seed"}
    assert found["recipe.momentum"] == {"value": 0.9, "origin": "default"}


def test_the_table_says_the_same(cli: Cli) -> None:
    found = cli("config", "show", "mnist-table-a1", "-o", "json").json()
    heading, *lines = cli("config", "show", "mnist-table-a1").out.splitlines()
    assert heading.split() == ["setting", "origin", "value"]
    assert [line.split()[0] for line in lines] == list(found)
    assert any(line.startswith("space.terminations ") and line.endswith('["SM"]') for line in lines)


def test_no_secret_of_the_environment_is_shown(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("METAQNN_STORE", "s3://bucket/hunter2")
    assert "hunter2" not in cli("config", "show", "digits").out + cli("config", "show", "digits", "-o", "json").out


def test_the_presets(cli: Cli) -> None:
    assert cli("config", "presets").out.splitlines() == [*presets()]


@pytest.mark.parametrize("command", ["config show", "space", "start"])
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("garbage.yaml", "is not UTF-8 text"),
        ("escape.yaml", "the character 0x1b is not allowed"),
        ("empty.yaml", "is empty"),
        ("folder", "Is a directory"),
        ("unknown.yaml", "unknown setting recipe.epochz; did you mean recipe.epochs? (from unknown.yaml)"),
        ("bomb.yaml", "anchors and aliases are not supported"),
        ("object.yaml", "the tag tag:yaml.org,2002:python/object/apply:os.system is not supported"),
        ("deep.yaml", "nested too deeply"),
        ("nan.yaml", "recipe.learning_rate must be a number"),
        ("missing.yaml", "'missing.yaml' is neither a preset nor a readable file"),
        ("\x1b[2J.yaml", "is neither a preset nor a readable file"),
    ],
)
def test_a_bad_file_is_one_line_whoever_reads_it(
    command: str, source: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    files = {
        "garbage.yaml": bytes(range(256)),
        "escape.yaml": b"preset: digits\nseed: '\x1b[2J'",
        "empty.yaml": b"",
        "unknown.yaml": b"preset: digits\nrecipe: {epochz: 3}",
        "bomb.yaml": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "object.yaml": b"seed: !!python/object/apply:os.system [reboot]",
        "deep.yaml": b"seed: " + b"[" * 20_000,
        "nan.yaml": b"preset: digits\nrecipe: {learning_rate: .nan}",
    }
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    before = tree(tmp_path)
    more = ("--run", "a", "--store", "new") if command == "start" else ()
    refusal = cli(*command.split(), source, *more).refused()
    assert says in refusal
    assert len(refusal) < 400
    assert tree(tmp_path) == before
