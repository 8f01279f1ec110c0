"""The plug-ins of docs/plugins.md are whole: taken from the page, installed in a fresh environment, and used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from docs.document import PAGES

from metaqnn_trainer.tasks.classification import Classification
from tests.environments import Environment

PAGE: Final = PAGES / "plugins.md"
FILE: Final = re.compile(
    r"^`(?P<path>[\w./-]+/[\w./-]+)`\n\n```(?:toml|python|yaml)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
MOST_LINES: Final = 60


def files() -> dict[str, str]:
    """Every file that stands on the page, by its path."""
    return {match["path"]: match["text"] for match in FILE.finditer(PAGE.read_text())}


def distributions() -> list[str]:
    return sorted({path.partition("/")[0] for path in files()})


def write(distribution: str, folder: Path, version: str = "0.1.0") -> Path:
    """A distribution of the page, as a folder."""
    for path, text in files().items():
        if path.startswith(distribution + "/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text.replace('version = "0.1.0"', f'version = "{version}"'))
    return folder / distribution


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment"))
    for distribution in distributions():
        made.install(write(distribution, tmp_path_factory.mktemp("sources")))
    return made


def test_each_is_whole_and_short() -> None:
    assert distributions() == ["balanced", "dilated", "stripes", "threshold"]
    for distribution in distributions():
        own = [text for path, text in files().items() if path.startswith(distribution + "/") and path.endswith(".py")]
        assert own
        assert sum(len(text.splitlines()) for text in own) < MOST_LINES, distribution


def test_they_are_found_with_their_distributions(environment: Environment, tmp_path: Path) -> None:
    found = json.loads(environment.run("config", "plugins", "-o", "json", folder=tmp_path))
    installed = {(plugin["kind"], plugin["name"]): plugin["distribution"] for plugin in found}
    assert installed == installed | {
        ("searcher", "threshold"): "metaqnn-threshold 0.1.0",
        ("layer", "dilated"): "metaqnn-dilated 0.1.0",
        ("task", "balanced"): "metaqnn-balanced 0.1.0",
        ("dataset", "stripes"): "metaqnn-stripes 0.1.0",
    }
    assert {plugin["trouble"] for plugin in found} == {""}


def test_space_has_a_line_for_the_layer_kind(environment: Environment, tmp_path: Path) -> None:
    said = environment.run("space", "digits", "--set", "space.dilated={filters: [8]}", folder=tmp_path)
    assert re.search(r"dilated convolution +filters \(8,\), gaps \(2,\)", said)
    assert "dilated" not in environment.run("space", "digits", folder=tmp_path)


def test_the_preset_makes_its_dataset_and_is_searched(environment: Environment, tmp_path: Path) -> None:
    environment.run("start", "stripes", "--run", "first", "--store", "./runs", "--max-trials", "2", folder=tmp_path)
    [found] = json.loads(environment.run("dataset", "list", "--store", "./runs", "-o", "json", folder=tmp_path))
    counts = {part: found[part] for part in ("train", "validation", "test")}
    assert (found["name"], sum(counts.values()), counts["test"]) == ("stripes", 500, 100)
    again = environment.run("dataset", "push", "stripes", "--store", "./again", "-o", "json", folder=tmp_path)
    assert found["digest"] in again, "the same bytes each time"


def test_what_a_task_overrides_exists() -> None:
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| .+ \| (?:it|they) ", PAGE.read_text(), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"\w+", row)]
    assert len(names) >= 9
    assert [name for name in names if not callable(getattr(Classification, name, None))] == []


CHANGES: Final = {
    "search.method": "threshold",
    "search.decay": "0.5",
    "task.name": "balanced",
    "space.dilated": "{filters: [8]}",
    "space.convolution.filters": "[8]",
    "space.max_layers": "2",
    "recipe.epochs": "2",
}


def test_a_search_that_uses_all_of_them(environment: Environment, tmp_path: Path) -> None:
    changes = [text for key, value in CHANGES.items() for text in ("--set", f"{key}={value}")]
    start = ["start", "digits", "--run", "mine", "--store", "./runs", *changes, "--max-trials"]
    environment.run(*start, "4", folder=tmp_path)
    environment.run(*start, "6", folder=tmp_path)  # goes on
    said = environment.run("trials", "mine", "--store", "./runs", "-o", "json", folder=tmp_path)
    told: list[dict[str, Any]] = [trial for trial in json.loads(said) if trial["reward"] is not None]
    assert len(told) == 6
    learned = [trial for trial in told if trial["state"] == "completed"]
    assert learned
    assert all(trial["reward"] == trial["measures"]["recall"] for trial in learned)

    folder = tmp_path / "runs" / "runs" / "mine"
    assert json.loads((folder / "run.json").read_text())["plugins"] == {
        "metaqnn.layers:dilated": "metaqnn-dilated 0.1.0",
        "metaqnn.searchers:threshold": "metaqnn-threshold 0.1.0",
        "metaqnn.tasks:balanced": "metaqnn-balanced 0.1.0",
    }
    for trial in told:
        request = json.loads((folder / "trials" / trial["trial"] / "request.json").read_text())
        parts = {"metaqnn.tasks:balanced": "metaqnn-balanced 0.1.0"}
        parts |= {"metaqnn.layers:dilated": "metaqnn-dilated 0.1.0"} if "DIL" in trial["net"] else {}
        assert request["spec"]["plugins"] == parts, "what is trained depends on these, and on no searcher"

    environment.install(write("threshold", tmp_path / "newer", "0.2.0"))
    environment.run(*start, "7", folder=tmp_path)  # another searcher asks on
    environment.install(write("balanced", tmp_path / "newer", "0.2.0"))
    refused = environment.fails(*start, "8", folder=tmp_path)
    assert "metaqnn.tasks balanced: metaqnn-balanced 0.1.0 -> metaqnn-balanced 0.2.0" in refused
