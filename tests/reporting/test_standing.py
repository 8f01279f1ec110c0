"""The numbers of somebody who watches a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metaqnn_orch.control.events import Opened
from metaqnn_orch.control.state import RunState
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.standing import Stage, standing
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Behaviour, Clock, Session, result_for, settings
from tests.reporting.runs import at, write_run, write_run_with_stopped_nets

HOUR = 3600.0


def hour_long(clock: Clock) -> Behaviour:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        clock.sleep(HOUR)
        result = result_for(request, seconds=HOUR, images_per_second=1000.0)
        store.put_if_absent(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    return behaviour


def test_a_run_half_done(tmp_path: Path) -> None:
    budget = BudgetSettings(price_per_gpu_hour=2.0, gpu_hours=20.0)
    session = Session(DirectoryStore(tmp_path), settings(execution__max_trials=8, budget=budget.model_dump()))
    session.run_to_end(hour_long(session.clock))
    state = session.state
    assert state.opened is not None
    start = datetime(2026, 1, 1, tzinfo=UTC)
    state.apply(state.opened.model_copy(update={"goal": 12, "at": start.isoformat()}))
    now = standing(state, (start + timedelta(hours=3)).isoformat())
    assert now.whole == Stage(8, 12, 2 * HOUR)
    assert (now.epsilon, now.phase) == (0.3, Stage(2, 6, 2 * HOUR))
    assert now.endings == {"completed": 8}
    assert (now.used.gpu_hours, now.used.money, now.used.wall_clock_hours) == (8.0, 16.0, 3.0)
    assert now.forecast is not None
    assert now.forecast == (12.0, 24.0, 5.0)
    assert (now.images_per_second, now.limit) == (0.0, ""), "none is in training"
    assert now.recent == 8
    assert now.recent_mean == pytest.approx(sum(trial.val_accuracy or 0 for trial in state.trials.values()) / 8)
    assert len(now.curve) == 8


def test_every_kind_of_ending_is_counted(tmp_path: Path) -> None:
    now = standing(write_run(DirectoryStore(tmp_path)).state, at(100))
    assert now.endings == {"completed": 22, "untrainable": 1, "too_large": 1}
    lost = {kind: count for kind, count in now.lost.items() if count}
    assert (now.in_flight, now.abandoned, lost) == (1, 1, {"crashed": 3, "disrupted": 1})
    assert len(now.curve) == 20
    assert now.whole.done == 24
    stopped = standing(write_run_with_stopped_nets(DirectoryStore(tmp_path / "stopped")).state, at(100)).endings
    assert sum(stopped.values()) == 32
    assert stopped["stopped_early"] > 5


def test_a_run_that_has_not_begun() -> None:
    now = standing(RunState(settings()), "")
    assert (now.whole, now.phase, now.best, now.recent_mean, now.curve) == (
        Stage(0, 12, None),
        Stage(0, 6, None),
        None,
        None,
        [],
    )
    assert now.forecast is None


def test_the_phase_is_that_of_the_next_net_and_ends_with_the_goal() -> None:
    state = RunState(settings())
    state.apply(Opened(at="now", session="s", owner="o", version="0", goal=8, places=1))
    state.unique = 7
    assert standing(state, "").phase == Stage(1, 2, None)
    state.unique = 8
    assert standing(state, "").phase == Stage(2, 2, None)
    state.unique = 5
    assert standing(state, "").phase == Stage(5, 6, None)
