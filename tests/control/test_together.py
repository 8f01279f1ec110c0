"""Trials that begin together: the loop begins as many as share a Job, and waits for nothing that does not come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metaqnn_orch.control.budget import limit
from metaqnn_orch.control.events import Opened
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.launchers.base import Observation, Phase
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import ScriptedLauncher, Session, deliver, settings, told_order


class OneByOne(ScriptedLauncher):
    """Trials end one at a time, in any order. What is launched between two looks is one go."""

    def __init__(self, store: Store, parallel: int, together: int, random: Random) -> None:
        super().__init__(store, deliver, parallel)
        self.together = together
        self.goes: list[int] = []
        self.most = 0
        self._random = random
        self._flying: dict[str, tuple[TrainingRequest, int]] = {}
        self._launched = 0

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        self._flying[request.trial] = (request, attempt)
        self._launched += 1
        self.most = max(self.most, len(self._flying))

    def observe(self) -> Mapping[str, Observation]:
        if self._launched:
            self.goes.append(self._launched)
            self._launched = 0
        elif self._flying:
            request, attempt = self._flying.pop(self._random.choice(sorted(self._flying)))
            super().launch(request, attempt)
        waiting = {trial: Observation(attempt, Phase.PENDING) for trial, (_, attempt) in self._flying.items()}
        return {**super().observe(), **waiting}


@hypothesis_settings(max_examples=15, deadline=None)
@given(parallel=st.integers(1, 9), together=st.integers(1, 5), confirm=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_search_ends_whatever_share_a_job(
    tmp_path_factory: pytest.TempPathFactory, parallel: int, together: int, confirm: int, seed: int
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("store"), durable=False)
    together = min(together, parallel)
    chosen = settings(execution__parallel=parallel, search={"confirm": {"top": confirm, "repeats": 1}})
    session = Session(store, chosen)
    session.open()
    launcher = OneByOne(store, parallel, together, Random(seed))
    assert session.search(launcher) is Outcome.GOAL
    assert session.state.unique == 12
    assert len(told_order(store)) == 12 + confirm
    assert launcher.most <= parallel
    searched = 0
    for go in launcher.goes:
        searched += go
        assert go % together == 0 or searched >= 12, "whole Jobs, until the last nets are begun"


def test_alone_the_loop_begins_one_for_each_that_ends(tmp_path: Path) -> None:
    session = Session(DirectoryStore(tmp_path / "store"), settings(execution__parallel=4))
    session.open()
    launcher = OneByOne(session.store, 4, 1, Random(1))
    assert session.search(launcher) is Outcome.GOAL
    assert launcher.goes[0] == 4
    assert set(launcher.goes[1:]) == {1}


@pytest.mark.parametrize(("launcher", "allowed"), [("kubernetes", False), ("local", True)])
def test_a_limit_of_time_counts_the_turns_of_those_before(launcher: str, allowed: bool, tmp_path: Path) -> None:
    """A net of a Job of four may be its last, and ends after four."""
    chosen = settings(execution__parallel=4, execution__kubernetes={"trials_per_job": 4})
    session = Session(DirectoryStore(tmp_path / "store"), chosen)
    session.run_to_end()
    state = RunState(chosen)
    for event in session.events:
        state.apply(
            event.model_copy(update={"launcher": launcher, "places": 4}) if isinstance(event, Opened) else event
        )
    hours = 2 * 0.5 / 3600  # two nets of half a second each
    assert (limit(state, BudgetSettings(wall_clock_hours=hours), "now") is None) is allowed
