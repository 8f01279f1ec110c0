"""What the trainer says on its way, and what of it is passed on."""

from __future__ import annotations

from metaqnn_orch.application.trainer_call import relay


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
