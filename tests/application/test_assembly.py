"""From settings to what trials are told."""

from __future__ import annotations

import pytest

from metaqnn_orch.application.assembly import options_in_a_pod, options_on_this_machine
from metaqnn_orch.settings.model import ExecutionSettings


@pytest.mark.parametrize(
    ("most", "grace", "limit"),
    [(21_600, 60, 20_940), (3_600, 60, 3_180), (60, 1, 53), (60, 60, 30), (100_000, 60, 99_340), (600, 3_600, 300)],
)
def test_a_trainer_ends_before_its_pod_is_ended(most: int, grace: int, limit: float) -> None:
    settings = ExecutionSettings.model_validate(
        {"kubernetes": {"time_limit_seconds": most, "grace_seconds": grace, "gpus": 2}, "checkpoint_seconds": 3.0}
    )
    told = options_in_a_pod(settings)
    assert (told.time_limit_seconds, told.devices, told.checkpoint_seconds) == (limit, 2, 3.0)
    assert told.early_end is None


def test_on_this_machine_trials_get_what_the_settings_say() -> None:
    told = options_on_this_machine(ExecutionSettings(time_limit_seconds=90.0, checkpoint_seconds=0.0))
    assert (told.time_limit_seconds, told.devices, told.checkpoint_seconds) == (90.0, 0, 0.0)
    assert options_on_this_machine(ExecutionSettings()).time_limit_seconds is None
