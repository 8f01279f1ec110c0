"""What trainers on this machine say is kept, by trial, and takes a bounded part of the disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kept_lines import KeptLines, lines_in
from metaqnn_orch.launchers.local import LocalLauncher
from tests.launchers.harness import make_request, until_phase
from tests.launchers.test_local import FAKE_WORKER


def test_the_lines_of_a_trial_are_its_own_and_end_with_how_it_ended(tmp_path: Path) -> None:
    notes, kept = tmp_path / "notes", tmp_path / "kept"
    notes.mkdir()
    launcher = LocalLauncher("/no/store", 1, (sys.executable, "-SE", str(FAKE_WORKER), str(notes)), lines=kept)
    try:
        first, second = make_request("traces-13"), make_request("aborts")
        for request in (first, second):
            launcher.launch(request, 1)
            until_phase(launcher, request, Phase.CRASHED)
    finally:
        launcher.close()
    given, *said = lines_in(kept, first.trial)
    assert "attempt 1 is given to process" in given
    assert said == [
        "attempt 1: a net",
        "it failed",
        f"Traceback of {first.trial}",
        "attempt 1: the trainer ended with 13 (internal): it failed",
    ]
    said = lines_in(kept, second.trial)
    assert said[1:4] == ["epoch 3", "terminate called", "  what():  bad"], "what C code says of no trial is kept, too"
    assert "killed by SIGABRT" in said[4]
    assert lines_in(kept, first.trial[:11]) == []


def test_of_much_the_last_lines_stay(tmp_path: Path) -> None:
    kept = KeptLines(tmp_path, file_bytes=4000)
    kept.begin("a" * 12, "begins")
    for number in range(10_000):
        kept.add("a" * 12, f"line {number}")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4100
    lines = lines_in(tmp_path, "a" * 12)
    assert lines[-1] == "line 9999"
    assert [int(line[5:]) for line in lines] == [*range(10_000 - len(lines), 10_000)], "without a gap"
    assert len(lines) > 150


def test_of_many_trials_the_latest_stay(tmp_path: Path) -> None:
    room = 4096
    kept = KeptLines(tmp_path, all_bytes=100 * room)
    for number in range(300):
        kept.begin(f"{number:012x}", "begins")
        os.utime(tmp_path / f"{number:012x}.log", (number, number))
    there = [int(name, 16) for name in sorted(path.stem for path in tmp_path.iterdir())]
    assert there == [*range(there[0], 300)]
    assert 75 <= len(there) <= 100 + 64


def test_a_folder_that_cannot_be_written_to_costs_lines_and_no_trial(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = KeptLines(tmp_path / "file" / "trials")
    kept.begin("a" * 12, "begins")
    kept.add("a" * 12, "goes on")
    assert lines_in(tmp_path / "file" / "trials", "a" * 12) == []
