"""Nets that people put into a search: each is trained once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from metaqnn_orch.control.events import Proposed
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.queue import PAUSE, HandQueue, Queued, proposal_of, put, waiting
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Entry, Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.world import Session, deliver, settings

NET = "[C(64,3,1), C(64,3,1), SM(10)]"
OTHER = "[C(128,5,1), SM(10)]"


def put_in(store: Store, net: str = NET, at: str = "1", **recipe: object) -> str:
    """Put a net into the queue of the run `test`, as the command does."""
    session = Session(store, settings())
    session.open()
    queued = Queued(net=net, recipe=recipe, at=at)  # type: ignore[arg-type]
    event = proposal_of(session.record, session.state, queued)
    put(store, "test", event.trial, queued)
    return event.trial


def by_hand(store: Store) -> list[Proposed]:
    return [event for event in Journal(store, "test").read() if isinstance(event, Proposed) and event.origin]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", durable=False)


def test_it_is_trained_first_and_told_like_any_other(store: DirectoryStore) -> None:
    second, first = put_in(store, at="2"), put_in(store, OTHER, at="1")
    Session(store, settings()).run_to_end()
    assert [event.trial for event in by_hand(store)] == [first, second]
    assert [event.epsilon for event in by_hand(store)] == [None, None]
    state = read_run(store, "test").state
    assert list(state.trials)[:2] == [first, second]
    assert (state.unique, state.trials[first].origin, state.trials[first].reward is not None) == (12, "by hand", True)
    assert state.trials[first] in state.presented
    assert list(store.list(keys.queue("test"))) == []


def test_it_takes_no_step_of_the_searcher(store: DirectoryStore, tmp_path: Path) -> None:
    put_in(store)
    Session(store, settings()).run_to_end(parallel=1)
    proposed = [event for event in Journal(store, "test").read() if isinstance(event, Proposed)]
    assert [event.step for event in proposed if event.origin is None] == list(range(len(proposed) - 1))
    plain = DirectoryStore(tmp_path / "plain", durable=False)
    Session(plain, settings()).run_to_end(parallel=1)
    without = next(event for event in Journal(plain, "test").read() if isinstance(event, Proposed))
    assert next(event for event in proposed if event.origin is None).net == without.net, "the same randomness"


def test_it_is_taken_while_the_search_goes_on(store: DirectoryStore) -> None:
    session = Session(store, settings())
    put_during = count()

    def happened(event: object) -> None:
        if next(put_during) == 8:
            put_in(store)

    session.on_event = happened
    session.run_to_end(parallel=1)
    assert [event.net for event in by_hand(store)] == [NET]
    assert session.state.unique == 12


def test_the_journal_alone_gives_the_same_state(store: DirectoryStore) -> None:
    put_in(store, epochs=3)
    session = Session(store, settings())
    session.run_to_end()
    again = read_run(store, "test").state
    assert again.beliefs() == session.state.beliefs()
    assert [trial.recipe for trial in again.trials.values() if trial.origin] == [{"epochs": 3}]


def test_twice_the_same_net_is_one_entry(store: DirectoryStore) -> None:
    trial = put_in(store)
    session = Session(store, settings())
    session.open()
    assert not put(store, "test", trial, Queued(net=NET, at="9"))
    assert waiting(store, "test", session.state) == [trial]


def test_a_net_that_the_run_has_is_not_trained_again(store: DirectoryStore) -> None:
    Session(store, settings(execution__max_trials=4)).run_to_end()
    known = next(iter(read_run(store, "test").state.trials.values()))
    put(store, "test", known.trial, Queued(net=known.net, at="1"))
    session = Session(store, settings(), name="two")
    session.run_to_end()
    assert by_hand(store) == []
    assert list(store.list(keys.queue("test"))) == []
    assert len([trial for trial in session.state.trials.values() if trial.net == known.net]) == 1


def test_killed_at_every_call_it_is_trained_once(tmp_path: Path) -> None:
    for call in count(1):
        store = DirectoryStore(tmp_path / f"store-{call}", durable=False)
        trial = put_in(store)
        wanted = settings(execution__max_trials=2)
        dying = Session(FatalStore(store, call, call % 2 == 0), wanted)
        try:
            dying.run_to_end(parallel=1)
            break
        except SimulatedKill:
            pass
        Session(store, wanted, name="two").run_to_end(parallel=1)
        assert [event.trial for event in by_hand(store)] == [trial]
        assert list(store.list(keys.queue("test"))) == []
        assert read_run(store, "test").state.trials[trial].state == "completed"
    assert call > 15


@pytest.mark.parametrize("data", [b"nonsense", encode(Queued(net="[C(7,7,7)]", at="1"))])
def test_what_makes_no_trial_is_put_aside(store: DirectoryStore, data: bytes) -> None:
    session = Session(store, settings())
    session.open()
    store.put(keys.queued("test", "0" * 12), data)
    session.run_to_end()
    assert session.state.unique == 12
    assert list(store.list(keys.queue("test"))) == []
    assert store.get(keys.refused("test", "0" * 12 + ".json")) == data


@pytest.mark.parametrize(
    ("net", "recipe"), [("[C(7,7,7), SM(10)]", {}), ("nonsense", {}), (NET, {"epochs": "many"}), (NET, {"epoch": 1})]
)
def test_what_cannot_be_trained_is_refused(store: DirectoryStore, net: str, recipe: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="cannot be trained in run test"):
        put_in(store, net, at="1", **recipe)


@pytest.mark.parametrize("method", ["guided", "evolution", "local-search", "random"])
def test_every_searcher_learns_from_it(store: DirectoryStore, method: str) -> None:
    wanted = settings(search__method=method, schedule={"total": 12})
    session = Session(store, wanted)
    session.open()
    event = proposal_of(session.record, session.state, Queued(net=NET, at="1"))
    put(store, "test", event.trial, Queued(net=NET, at="1"))
    session.run_to_end()
    assert session.state.trials[event.trial] in session.state.presented
    assert read_run(store, "test").state.beliefs() == session.state.beliefs()


def test_a_session_that_is_asked_to_stop_leaves_it(store: DirectoryStore) -> None:
    trial = put_in(store)
    session = Session(store, settings(), stop=lambda: Stop.NOW)
    session.run_to_end()
    assert waiting(store, "test", session.state) == [trial]


class Counting(DirectoryStore):
    looks = 0
    reads = 0

    def list(self, prefix: str) -> Iterator[Entry]:
        self.looks += prefix == keys.queue("test")
        return super().list(prefix)

    def get(self, key: str, first: int | None = None) -> bytes:
        self.reads += key.startswith(keys.queue("test"))
        return super().get(key, first)


def test_the_store_is_asked_once_in_a_while_and_before_the_last_net(tmp_path: Path) -> None:
    counting, begun = Counting(tmp_path / "store", durable=False), count(1)
    late: list[str] = []

    def behave(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if next(begun) == 11:
            late.append(put_in(DirectoryStore(tmp_path / "store"), at="2"))
        return deliver(store, request, attempt)

    early = put_in(counting, OTHER)
    Session(counting, settings()).run_to_end(behave, parallel=1)  # whose clock stands still
    assert [event.trial for event in by_hand(counting)] == [early, *late]
    assert counting.reads == 2
    assert counting.looks == 2, "not for each of the twelve nets"


def test_a_look_is_a_few_seconds_old_unless_one_wants_to_know(store: DirectoryStore) -> None:
    session = Session(store, settings())
    session.open()
    queue = HandQueue(store, session.record, session.state, session.clock.monotonic)
    assert queue.look() == []
    trial = put_in(store)
    assert queue.look() == []
    assert [event.trial for _, event in queue.look(now=True)] == [trial]
    other = put_in(store, OTHER, at="0")
    assert [event.trial for _, event in queue.look()] == [trial]
    session.clock.sleep(PAUSE)
    assert [event.trial for _, event in queue.look()] == [other, trial]


def test_a_searcher_without_another_net_does_not_end_the_run_before_the_queue_is_empty(store: DirectoryStore) -> None:
    small = settings(
        space__convolution={"filters": [4], "kernels": [1]},
        space__max_layers=1,
        space__fully_connected={"units": []},
        schedule__phases=[{"epsilon": 1.0, "unique": 50}],
    )
    session, begun = Session(store, small), count(1)

    def behave(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if next(begun) == 4:  # the last one of the space
            queued = Queued(net=request.spec.net, recipe={"epochs": 3}, at="1")
            put(store, "test", proposal_of(session.record, session.state, queued).trial, queued)
        return deliver(store, request, attempt)

    assert session.run_to_end(behave, parallel=1) is Outcome.EXHAUSTED
    assert len(by_hand(store)) == 1
    assert session.state.trials[by_hand(store)[0].trial].state == "completed"
