"""A run taken from whoever works on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.control.holder import BEAT_SECONDS, read_holder, this_process
from metaqnn_orch.control.journal import last_writer
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.control.takeover import Taken, take_over
from metaqnn_orch.errors import RunHeld
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Clock, ScriptedLauncher, Session, settings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store")


def hanging(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    return Phase.RUNNING


class Cancelling:
    """A clock that takes the run over, from outside, while the loop rests."""

    def __init__(self, session: Session, after: float) -> None:
        self._session, self._after = session, after

    def __call__(self) -> Stop:
        session = self._session
        if session.clock.seconds >= self._after:
            self._after = float("inf")
            take_over(session.store, session.record, this_process("cancel", "now"), "0")
        assert session.clock.seconds < 1000, "it went on"
        return Stop.NO


def test_an_idle_orchestrator_notices_within_a_beat(store: Store) -> None:
    """It has nothing to write into the journal, and learns it from the holder."""
    session = Session(store, settings())
    session.open()
    session.stop = Cancelling(session, after=20)
    session.hold.claim(session.clock.sleep, lambda text: None)
    with pytest.raises(RunHeld, match="was taken over by process"):
        session.search(ScriptedLauncher(store, hanging))
    assert 20 <= session.clock.seconds <= 20 + 2 * BEAT_SECONDS


def test_a_run_that_was_taken_goes_on_to_the_same_end(store: Store) -> None:
    undisturbed = Session(store, settings(), run="undisturbed")
    undisturbed.run_to_end()
    session = Session(store, settings())
    session.open()
    session.stop = Cancelling(session, after=0)
    with pytest.raises(RunHeld):
        session.search(ScriptedLauncher(store))
    again = Session(store, settings(), "two")
    assert again.run_to_end() is Outcome.GOAL
    assert again.state.agent.q_table.digest() == undisturbed.state.agent.q_table.digest()


def test_nobody_is_named_when_nobody_worked_on_it(store: Store) -> None:
    session = Session(store, settings())
    session.open()
    assert take_over(store, session.record, this_process("cancel", "now"), "0") == Taken(idle=True)
    assert session.journal.position == 0
    session.run_to_end()
    position = session.journal.position
    assert take_over(store, session.record, this_process("cancel", "now"), "0") == Taken(idle=True)
    again = Session(store, settings(), "two")
    again.open()
    assert again.journal.position == position, "a complete run stays as it is"
    assert again.state.finished is not None


def test_whoever_lives_is_named(store: Store) -> None:
    session = Session(store, settings(), clock=Clock())
    session.open()
    session.stop = lambda: Stop.NOW if session.clock.seconds > 3 else Stop.NO
    session.hold.claim(session.clock.sleep, lambda text: None)
    session.search(ScriptedLauncher(store, hanging))
    holder, _ = take_over(store, session.record, this_process("cancel", "now"), "0")
    assert holder is not None
    assert holder.session == "one"


def test_a_run_that_is_busy_all_the_time_is_taken(store: Store) -> None:
    """Whoever works on it writes an entry whenever the taker has read them all, nine times."""
    session = Session(store, settings())
    session.open()
    session.stop = lambda: Stop.NOW if session.clock.seconds > 3 else Stop.NO
    session.search(ScriptedLauncher(store, hanging))
    busy = session.journal

    class Racing(DirectoryStore):
        races = 0

        def put_if_absent(self, key: str, data: bytes) -> bool:
            if self.races < 9:
                self.races += 1
                opened = session.state.opened
                assert opened is not None
                busy.append([opened.model_copy(update={"at": str(self.races)})])
            return super().put_if_absent(key, data)

    racing = Racing(store.uri)
    take_over(racing, session.record, this_process("cancel", "now"), "0")
    assert racing.races == 9
    assert last_writer(store, "test") == "cancel"
    holder = read_holder(store, "test")
    assert holder is not None
    assert holder.session == "cancel"
