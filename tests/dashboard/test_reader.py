"""A run is followed: the store is asked once in a while, and one that is away changes nothing but a sentence."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from metaqnn_orch.dashboard import answers
from metaqnn_orch.dashboard.reader import RunReader, Seen, Unreadable
from metaqnn_orch.dashboard.shelf import Shelf
from metaqnn_orch.errors import NotFound, StoreError
from metaqnn_orch.reporting.curves import Curves
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Entry
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause
from tests.control.world import Clock, Session, settings
from tests.reporting.runs import at, write_run, write_run_with_stopped_nets

OLD = Path(__file__).parents[1] / "fixtures/release-0.1/store"


class Counted(DirectoryStore):
    """A store that counts its calls, may be away, and may be silent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, durable=False)
        self.calls: Counter[str] = Counter()
        self.away = False
        self.answers = Event()
        self.answers.set()

    def get(self, key: str, first: int | None = None) -> bytes:
        self._asked("get")
        return super().get(key, first)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._asked("list")
        return super().list(prefix)

    def _asked(self, what: str) -> None:
        self.answers.wait(60)
        self.calls[what] += 1
        if self.away:
            raise StoreError("the store is away", cause=Cause.OUTAGE)


@pytest.fixture
def store(tmp_path: Path) -> Counted:
    store = Counted(tmp_path)
    search(store, 6)
    return store


def search(store: DirectoryStore, nets: int, name: str = "one") -> None:
    session = Session(store, settings(execution__max_trials=nets), name)
    session.run_to_end()
    session.hold.release()


def unique(reader: RunReader) -> int:
    found: int = answers.overview(reader, "now")["status"]["unique"]
    return found


def test_it_reads_on_and_says_what_a_new_reader_would(store: Counted) -> None:
    clock = Clock()
    reader = RunReader(store, "test", monotonic=clock.monotonic, patience=60)
    reader.look()
    assert unique(reader) == 6
    search(store, 12, "two")
    reader.look()
    assert unique(reader) == 6, "it looked a moment ago"
    clock.sleep(5)
    before = store.calls["get"]
    known = reader.make(lambda seen: seen.view.position)
    reader.look()
    asked = store.calls["get"] - before
    assert unique(reader) == 12
    view = read_run(store, "test")
    assert asked <= view.position - known + 6 + 4, "it did not read again what it knew, but looked for six curves"
    seen = reader.make(lambda seen: seen)
    assert seen.view.state.beliefs() == view.state.beliefs()
    told = [(item.trial.trial, item.reward) for item in seen.history.trained]
    assert told == [(item.trial.trial, item.reward) for item in read_history(store, view).trained]


def test_histories_that_were_read_are_not_read_again_by_the_next_reader(tmp_path: Path) -> None:
    """A journal of an earlier release has no curves; a reader goes when many others were asked for."""
    store = Counted(shutil.copytree(OLD, tmp_path / "old"))
    shelf = Shelf(store, patience=60)
    first = shelf.reader("finished")
    first.look()
    curves = answers.figure_list(first)["curves"]
    assert curves
    read = store.calls["get"]
    for name in "abcdefg":
        shelf.reader(name)
    second = shelf.reader("finished")
    assert second is not first
    second.look()
    assert answers.figure_list(second)["curves"] == curves
    assert store.calls["get"] - read <= read - 2 * len(curves), "the journal, and no result or history"


def test_what_was_read_before_the_store_went_away_is_kept(tmp_path: Path) -> None:
    store = Counted(shutil.copytree(OLD, tmp_path / "old"))
    view = read_run(store, "finished")
    curves, trials = Curves(store), [*view.state.trials.values()]
    curves.fill(view, trials[:4])
    known = [trial.trial for trial in trials if trial.curve]
    store.away = True
    again = read_run(DirectoryStore(tmp_path / "old"), "finished")
    with pytest.raises(StoreError):
        curves.fill(again, again.state.trials.values())
    assert [trial.trial for trial in again.state.trials.values() if trial.curve] == known != []


def test_many_browsers_ask_the_store_once(store: Counted) -> None:
    reader = RunReader(store, "test", monotonic=Clock().monotonic, patience=60)
    threads = [Thread(target=reader.look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unique(reader) == 6
    calls = store.calls.total()
    for _ in range(20):
        reader.look()
        unique(reader)
    assert store.calls.total() == calls


def test_a_store_that_is_away_is_named_and_the_run_is_still_shown(store: Counted) -> None:
    clock = Clock()
    reader = RunReader(store, "test", monotonic=clock.monotonic, patience=60)
    reader.look()
    store.away = True
    clock.sleep(5)
    reader.look()
    shown = answers.overview(reader, "now")
    assert shown["fault"]["message"] == "the store is away"
    assert shown["status"]["unique"] == 6
    store.away = False
    search(store, 12, "two")
    clock.sleep(5)
    reader.look()
    assert answers.overview(reader, "now")["fault"] is None
    assert unique(reader) == 12


def test_a_silent_store_keeps_nobody_waiting(store: Counted) -> None:
    store.answers.clear()
    reader = RunReader(store, "test", patience=0.05)
    reader.look()
    with pytest.raises(Unreadable) as caught:
        unique(reader)
    assert caught.value.fault.transient
    store.answers.set()
    RunReader.look(patient := RunReader(store, "test", patience=60))
    assert unique(patient) == 6


def test_a_run_that_was_removed_and_made_again_is_the_new_one(store: Counted) -> None:
    clock = Clock()
    reader = RunReader(store, "test", monotonic=clock.monotonic, patience=60)
    reader.look()
    for entry in [*store.list(keys.run("test"))]:
        store.delete(entry.key)
    clock.sleep(5)
    reader.look()
    with pytest.raises(Unreadable) as caught:
        unique(reader)
    assert caught.value.fault.missing
    search(store, 3)
    clock.sleep(5)
    reader.look()
    assert unique(reader) == 3


def test_a_journal_that_is_damaged_later_is_said(store: Counted) -> None:
    clock = Clock()
    reader = RunReader(store, "test", monotonic=clock.monotonic, patience=60)
    reader.look()
    position = read_run(store, "test").position
    store.put(keys.journal_entry("test", position + 1), b"nonsense")
    clock.sleep(5)
    reader.look()
    shown = answers.overview(reader, "now")
    assert f"{position + 1:09d}" in shown["fault"]["message"]
    assert shown["status"]["unique"] == 6


def test_runs_in_which_nothing_happens_are_not_read_again(store: Counted) -> None:
    clock = Clock()
    shelf = Shelf(store, monotonic=clock.monotonic, patience=60)
    assert [row["unique"] for row in shelf.runs().rows] == [6]
    gets = store.calls["get"]
    clock.sleep(60)
    assert [row["unique"] for row in shelf.runs().rows] == [6]
    assert store.calls["get"] == gets
    store.away = True
    clock.sleep(60)
    shown = shelf.runs()
    assert (shown.error, [row["unique"] for row in shown.rows]) == ("the store is away", [6])


def test_learning_curves_are_those_of_the_trials_that_are_named(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, durable=False)
    write_run_with_stopped_nets(store)
    reader = RunReader(store, "test", patience=60)
    reader.look()
    best, *_ = answers.figure_list(reader)["curves"]
    curve = reader.make(lambda seen: seen.view.state.trials[best].curve)
    (line, _) = (spec := answers.figure_spec(reader, f"curves:{best},000000000000"))["layer"]
    assert line["encoding"]["color"]["scale"]["domain"] == [best]
    assert [row["reward"] for row in spec["data"]["values"]] == curve
    with pytest.raises(NotFound, match="none of these trials"):
        answers.figure_spec(reader, "curves:000000000000")


def test_what_is_in_flight_waits_where_nobody_works_on_the_run(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, durable=False)
    view = write_run(store, 4)
    reader = RunReader(store, "test", patience=60)
    reader.look()
    (waiting,) = view.state.in_flight
    assert {row["trial"] for row in answers.trials(reader) if row["state"] == "waiting"} == {waiting}
    assert answers.trial(reader, waiting)["row"]["state"] == "waiting"
    ends = {outcome["name"]: outcome["number"] for outcome in answers.overview(reader, at(0))["words"]["outcomes"]}
    assert (ends["waiting"], "in flight" in ends) == (1, False)


def test_curves_that_the_journal_lacks_are_looked_for_once_and_a_few_at_a_time(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    write_run(store, 250)
    view = read_run(store, "test")
    for trial in view.state.trials.values():
        trial.curve.clear()
    curves, asked = Curves(store), list[int]()
    for _ in range(3):
        before = store.calls["get"]
        assert not curves.fill(view, view.state.trials.values(), 200), "there are no histories"
        asked.append(store.calls["get"] - before)
    assert asked[2] == 0 < asked[1] < asked[0] <= 400, "200 trials, then the others, then none"


def test_seconds_that_nobody_measured_are_none(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, durable=False)
    write_run(store, 4)
    reader = RunReader(store, "test", patience=60)
    reader.look()

    def unmeasured(seen: Seen) -> None:
        for trial in seen.view.state.trials.values():
            trial.seconds = 0.0

    reader.make(unmeasured)
    assert {row["seconds"] for row in answers.trials(reader)} == {None}
