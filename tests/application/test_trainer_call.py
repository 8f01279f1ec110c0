"""What the trainer says on its way, and what of it is passed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.application.trainer_call import call, relay


def test_a_progress_bar_is_passed_on_every_few_seconds_and_at_its_end() -> None:
    now = iter(range(0, 100))
    said: list[str] = []
    bar = [f"\r {percent}%|{percent}\r" for percent in range(0, 100, 10)]
    lines = [part + "\r" for state in bar for part in state.split("\r")[:-1]]
    last = relay(["downloading\n", *lines, " 100%|done\n", "written\n", "the end\n"], said.append, lambda: next(now))
    assert said[0] == "downloading"
    assert said[-2:] == [" 100%|done", "written"]
    assert 1 <= len(said) - 3 < 9
    assert last == "the end"


def test_a_traceback_is_not_progress_and_its_last_line_is_the_reason() -> None:
    said: list[str] = []
    lines = ["one\n", "Traceback (most recent call last):\n", "  File x\n", "ValueError: no\n"]
    assert relay(lines, said.append) == "ValueError: no"
    assert said == ["one"]


def interrupt(line: str) -> None:
    raise KeyboardInterrupt


def test_a_trainer_that_is_interrupted_has_time_to_clean_up(tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/cleaned; exit' TERM; echo begun >&2; echo >&2; while :; do sleep 0.05; done"
    with pytest.raises(KeyboardInterrupt):
        call(["x"], interrupt, ("sh", "-c", script), grace=60)
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("ends", ["echo begun >&2; echo >&2; while :; do sleep 0.05; done", "kill -9 $$"])
def test_nothing_is_left_of_a_trainer_that_is_killed(ends: str, tmp_path: Path) -> None:
    made = f'mkdir {tmp_path}/.export-$$-x {tmp_path}/other; touch $TMPDIR/file; echo "$TMPDIR" > {tmp_path}/place'
    try:
        script = f"trap '' TERM; {made}; {ends}"
        code = call(["x"], interrupt, ("sh", "-c", script), lambda pid: tmp_path.glob(f".export-{pid}-*"), 0.1).code
    except KeyboardInterrupt:
        code = -9
    assert code == -9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "place"]
    assert not Path((tmp_path / "place").read_text().strip()).exists()
