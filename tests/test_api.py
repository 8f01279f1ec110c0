"""The front door for Python, and that its page tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch import Search
from metaqnn_orch.control.state import Trial
from metaqnn_orch.errors import BadInput, NotFound, SettingsError
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """With the run `test`, complete, and `other`, not begun."""
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings()).run_to_end()
    Session(store, settings(), run="other").open()
    return store.uri


def test_a_run_is_opened(store: str) -> None:
    search = Search("test", store)
    assert len(search.trials) == 12
    assert all(isinstance(trial, Trial) for trial in search.trials)
    assert search.best is search.leaderboard(1)[0]
    assert repr(search) == f"<Search test: 12 nets, best {search.best.val_accuracy:.4f}>"
    assert search.status["state"] == "complete"
    assert search.settings.schedule == settings().schedule
    assert {entry.updates > 0 for entry in search.q_table} == {True}
    assert search.explain().moves
    assert search.verdict is None


def test_trials_are_a_frame(store: str) -> None:
    pytest.importorskip("pandas", reason="needs the extra: metaqnn-orch[notebook]")
    frame = Search("test", store).frame()
    assert len(frame) == 12
    assert frame.loc[Search("test", store).best.trial].val_accuracy == frame.val_accuracy.max()  # type: ignore[union-attr]


def test_it_looks_again(store: str) -> None:
    search = Search("other", store)
    assert (search.best, repr(search)) == (None, "<Search other: 0 nets>")
    Session(DirectoryStore(store), settings(), run="other").run_to_end()
    assert search.best is None
    assert search.refresh().best is not None


def test_what_is_not_there_is_said_as_the_commands_say_it(store: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no run 'tset'") as refused:
        Search("tset", store)
    assert refused.value.hint == "runs there: other, test"
    with pytest.raises(SettingsError, match=r"unknown setting recipe\.epoch"):
        Search.start("digits", run="new", store=store, settings={"recipe.epoch": 3})
    with pytest.raises(BadInput, match="has no trained net yet"):
        Search("other", store).export(tmp_path / "x.onnx")
    with pytest.raises(BadInput, match=r"x\.txt ends in none of \.onnx"):
        Search("test", store).export(tmp_path / "x.txt")


def test_the_pages_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    nets = ("[SM(10)]", "[C(64,3,1), SM(10)]", "[C(64,3,1), P(2,2), SM(10)]", "[C(512,5,1), GAP(10), SM(10)]")
    Path("accuracies.csv").write_text("net,accuracy\n" + "".join(f'"{net}",0.{n + 2}\n' for n, net in enumerate(nets)))
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(names["frame"]) == 40
    assert repr(names["search"]) in PAGE.read_text()
    assert names["rows"]


def test_the_front_door_costs_nothing_until_it_is_opened() -> None:
    program = "import metaqnn_orch, sys; assert 'metaqnn_orch.api' not in sys.modules; metaqnn_orch.Search; print('ok')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"
