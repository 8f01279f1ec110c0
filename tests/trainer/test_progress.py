"""Whose a line is stands in it, however many trials write at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from metaqnn_trainer.progress import of_trial, say


def test_each_line_is_its_trials(capsys: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(4)

    def train(trial: str) -> None:
        with of_trial(trial):
            together.wait(10)
            for number in range(50):
                say(f"{trial} {number}\n  of it")
        say(f"after {trial}")

    trials = [letter * 12 for letter in "abcd"]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(train, trials))
    lines = capsys.readouterr().err.splitlines()
    for trial in trials:
        own = [line.removeprefix(f"trial {trial}: ") for line in lines if line.startswith(f"trial {trial}: ")]
        assert own == [text for number in range(50) for text in (f"{trial} {number}", "  of it")]
        assert lines.count(f"after {trial}") == 1
    assert len(lines) == 4 * 101
