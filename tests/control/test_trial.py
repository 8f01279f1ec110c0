"""When a trial began, as far as the journal says it."""

from __future__ import annotations

import pytest

from metaqnn_orch.control.trial import Trial


@pytest.mark.parametrize(
    ("ended", "seconds", "attempt", "began"),
    [
        ("2026-01-01T00:01:00.500+00:00", 90.0, 1, "2025-12-31T23:59:30.500+00:00"),
        ("2026-01-01T00:01:00.500+00:00", 90.0, 0, ""),
        ("2026-01-01T00:01:00.500+00:00", None, 1, ""),
        ("2026-01-01T00:01:00.500+00:00", 1e15, 1, ""),
        ("no time", 90.0, 1, ""),
        ("", 90.0, 1, ""),
    ],
)
def test_its_beginning_follows_from_its_end(ended: str, seconds: float | None, attempt: int, began: str) -> None:
    trial = Trial("0" * 12, "[SM(10)]", None, seconds=seconds, attempt=attempt, ended=ended)
    assert trial.began == began
