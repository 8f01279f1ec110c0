"""Copies, new names and removals of runs: whole or no run, wherever they are cut short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from metaqnn_orch.application.enqueuing import enqueue
from metaqnn_orch.application.run_copy import copy
from metaqnn_orch.application.run_list import list_runs
from metaqnn_orch.application.run_removal import doomed, refuse_busy, remove
from metaqnn_orch.application.run_rename import rename
from metaqnn_orch.control.events import Opened
from metaqnn_orch.control.holder import Hold, this_process
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.queue import Queued, proposal_of, waiting
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import BadInput, NotFound, RunConflict, RunHeld, StoreError
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Entry, Store
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.s3 import S3Store
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.world import Session, settings


def silent(line: str, tone: object = None) -> None:
    """Nobody reads it."""


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with the run `test`: two nets, all trained."""
    store = DirectoryStore(tmp_path / "store", durable=False)
    session = Session(store, settings(execution__max_trials=2))
    session.run_to_end()
    session.hold.release()
    return store


def contents(store: Store, run: str) -> dict[str, bytes]:
    """The objects of a run without its name, but for what is written of each run anew."""
    found = {}
    for key, _ in store.list(keys.run(run)):
        rest = key.removeprefix(keys.run(run))
        if rest not in ("run.json", "holder.json"):
            found[rest] = store.get(key).replace(f'"run": "{run}"'.encode(), b'"run": "NAME"')
    return found


def deaths(limit: int = 200) -> list[tuple[int, bool]]:
    """The call at which the process dies, and whether it has had its effect."""
    return [(call, call % 2 == 0) for call in range(1, limit)]


class TestCopy:
    def test_it_is_the_run_in_everything_but_its_name(self, store: DirectoryStore) -> None:
        made = copy(store, "test", store, "other", silent)
        assert contents(store, "other") == contents(store, "test")
        assert made.objects == len(list(store.list("runs/other/")))
        before, after = load_record(store, "test"), load_record(store, "other")
        assert after.copied is not None
        assert (after.copied.run, after.copied.uid) == ("test", before.uid)
        assert after.uid != before.uid, "Jobs of one are not those of the other"
        assert read_run(store, "other").state.beliefs() == read_run(store, "test").state.beliefs()

    def test_a_search_goes_on_with_it_as_with_the_run(self, store: DirectoryStore) -> None:
        copy(store, "test", store, "other", silent)
        whole = settings()
        for run in ("test", "other"):
            assert Session(store, whole, run=run, name=run).run_to_end() == "goal"
        assert read_run(store, "other").state.beliefs() == read_run(store, "test").state.beliefs()

    def test_it_is_no_run_until_it_is_whole_and_the_same_call_goes_on(
        self, store: DirectoryStore, tmp_path: Path
    ) -> None:
        for number, (call, after) in enumerate(deaths()):
            target = DirectoryStore(tmp_path / f"target-{number}", durable=False)
            try:
                copy(store, "test", FatalStore(target, call, after), "other", silent)
                break
            except SimulatedKill:
                pass
            rows = {row.run: row.state for row in list_runs(target)}
            if rows.get("other") == "complete":
                assert contents(target, "other").keys() - {"partial.json"} == contents(store, "test").keys()
            else:
                assert rows in ({}, {"other": "copied in part"})
                with pytest.raises((NotFound, RunConflict)):
                    read_run(target, "other")
            copy(store, "test", target, "other", silent)
            assert contents(target, "other") == contents(store, "test")
        assert number > 10

    def test_what_was_copied_is_not_copied_again(self, store: DirectoryStore, tmp_path: Path) -> None:
        target = DirectoryStore(tmp_path / "target", durable=False)
        with pytest.raises(SimulatedKill):
            copy(store, "test", FatalStore(target, 12, False), "test", silent)
        assert copy(store, "test", target, "test", silent).there > 0
        again = copy(store, "test", target, "test", silent)
        assert again.there == again.objects

    def test_of_a_run_that_goes_on_it_has_each_result_that_its_journal_names(self, tmp_path: Path) -> None:
        class Growing(DirectoryStore):
            """A store in which the search goes on while the journal is read."""

            grown = False

            def list(self, prefix: str) -> Iterator[Entry]:
                found = list(super().list(prefix))
                if prefix == keys.journal("test") and not self.grown:
                    self.grown = True
                    Session(DirectoryStore(self.uri, durable=False), settings(), name="two").run_to_end()
                return iter(found)

        plain = DirectoryStore(tmp_path / "store", durable=False)
        Session(plain, settings(execution__max_trials=4)).run_to_end()
        copy(Growing(plain.uri, durable=False), "test", plain, "other", silent)
        state = read_run(plain, "other").state
        assert state.unique == 4
        for trial in state.trials.values():
            assert plain.get(keys.result("other", trial.trial))
        assert Session(plain, settings(), run="other", name="three").run_to_end() == "goal"

    def test_an_object_that_somebody_removed_from_the_copy_is_missed(self, store: DirectoryStore) -> None:
        class Leaky(DirectoryStore):
            def put(self, key: str, data: bytes) -> None:
                if not key.endswith("result.json"):
                    super().put(key, data)

        with pytest.raises(StoreError, match="is not as it was copied"):
            copy(store, "test", Leaky(store.uri), "other", silent)
        with pytest.raises(RunConflict, match="was copied in part"):
            read_run(store, "other")

    def test_another_store_gets_the_dataset_too(self, store: DirectoryStore, tmp_path: Path) -> None:
        target = DirectoryStore(tmp_path / "target")
        said: list[str] = []
        copy(store, "test", target, "one", lambda line, tone=None: said.append(line))
        assert said == [f"{store.uri} has no dataset digits-0123456789abcdef any more"]
        dataset = keys.dataset("digits", "0123456789abcdef")
        store.put(dataset, b"images")
        copy(store, "test", target, "two", silent)
        assert target.get(dataset) == b"images"

    @pytest.mark.parametrize(
        ("run", "name", "error", "words"),
        [
            ("tset", "other", NotFound, "no run 'tset'"),
            ("test", "test", BadInput, "cannot be copied to itself"),
            ("test", "taken", RunConflict, "a run 'taken' exists"),
            ("test", "remains", RunConflict, "has 1 object of a run 'remains', which is none"),
            ("test", "Other", Exception, "not a valid name"),
        ],
    )
    def test_what_cannot_be_copied_is_refused(
        self, store: DirectoryStore, run: str, name: str, error: type[Exception], words: str
    ) -> None:
        copy(store, "test", store, "first", silent)
        copy(store, "first", store, "taken", silent)
        store.put("runs/remains/journal/000000001.jsonl", b"")
        before = list(store.list("runs/"))
        with pytest.raises(error, match=words):
            copy(store, run, store, name, silent)
        assert list(store.list("runs/")) == before

    def test_a_name_that_is_nearly_right_is_understood(self, store: DirectoryStore) -> None:
        with pytest.raises(NotFound) as missing:
            read_run(store, "tes")
        assert missing.value.hint.startswith("did you mean test?")


def test_s3_keeps_runs_as_a_directory_does(store: DirectoryStore, s3_store_uri: str) -> None:
    bucket, _, prefix = s3_store_uri.removeprefix("s3://").partition("/")
    there = S3Store(bucket, prefix)
    copy(store, "test", there, "test", silent)
    assert contents(there, "test") == contents(store, "test")
    rename(there, "test", "renamed", None, silent)
    assert [(row.run, row.state, row.nets) for row in list_runs(there)] == [("renamed", "complete", 2)]
    remove(there, "renamed", silent)
    assert list(there.list("runs/")) == []


class TestRemoval:
    def test_wherever_it_is_cut_short_the_rest_is_named_and_removed(
        self, store: DirectoryStore, tmp_path: Path
    ) -> None:
        for number, (call, after) in enumerate(deaths()):
            place = DirectoryStore(tmp_path / f"store-{number}", durable=False)
            copy(store, "test", place, "test", silent)
            try:
                remove(FatalStore(place, call, after), "test", silent)
                break
            except SimulatedKill:
                pass
            rows = {row.run: row.state for row in list_runs(place)}
            assert rows in ({"test": "complete"}, {"test": "removed in part"}, {})
            if rows.get("test") == "removed in part":
                with pytest.raises(RunConflict, match="was removed in part"):
                    load_record(place, "test")
                with pytest.raises(RunConflict, match=r"objects? of a run 'test'"):
                    copy(store, "test", place, "test", silent)
                assert doomed(place, "test").entries
            if rows:
                remove(place, "test", silent)
            assert list(place.list("runs/")) == []
        assert number > 10

    def test_a_run_that_somebody_holds_is_not_touched(self, store: DirectoryStore) -> None:
        Hold(store, "test", this_process("other", "now"), lambda: 0.0).beat("now")
        with pytest.raises(RunHeld, match="run test is held by process"):
            refuse_busy(store, "test", None)
        with pytest.raises(RunHeld):
            rename(store, "test", "other", None, silent)
        assert {row.run for row in list_runs(store)} == {"test"}

    def test_trials_that_may_have_jobs_are_not_forgotten(self, store: DirectoryStore) -> None:
        session = Session(store, settings(), name="two")
        session.open()
        event = session.state.opened
        assert event is not None
        in_cluster = event.model_copy(update={"launcher": "kubernetes", "session": "two"})
        assert isinstance(in_cluster, Opened)
        proposal = next(one for one in Journal(store, "test").read() if one.type == "proposed")
        session.journal.append([in_cluster, proposal.model_copy(update={"trial": "0" * 12, "net": "[SM(10)]"})])
        with pytest.raises(BadInput, match="1 trial in flight, whose Jobs may go on"):
            refuse_busy(store, "test", None)
        refuse_busy(store, "test", None, ignore_jobs=True)

    def test_a_damaged_run_can_be_removed(self, store: DirectoryStore) -> None:
        store.put(keys.journal_entry("test", 1), b"nonsense")
        assert [(row.state, row.nets) for row in list_runs(store)] == [("damaged", 0)]
        refuse_busy(store, "test", None)
        remove(store, "test", silent)
        assert list_runs(store) == []

    def test_nothing_is_no_run(self, store: DirectoryStore) -> None:
        with pytest.raises(NotFound, match="no run 'other'"):
            doomed(store, "other")


NET = "[C(64,3,1), C(64,3,1), SM(10)]"


class Meanwhile(DirectoryStore):
    """A store in which `happens` is called once: before, or just after, the call of this name for this key."""

    def __init__(self, plain: DirectoryStore, call: str, key: str, happens: Callable[[], None], after: bool) -> None:
        super().__init__(plain.uri, durable=False)
        self._moment = call, key
        self._happens: Callable[[], None] | None = happens
        self._after = after

    def _now(self, call: str, key: str, after: bool) -> None:
        if (call, key) == self._moment and after is self._after and self._happens is not None:
            happens, self._happens = self._happens, None
            happens()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._now("put_if_absent", key, False)
        made = super().put_if_absent(key, data)
        self._now("put_if_absent", key, True)
        return made

    def delete(self, key: str) -> None:
        self._now("delete", key, False)
        super().delete(key)
        self._now("delete", key, True)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._now("list", prefix, False)
        found = [*super().list(prefix)]
        self._now("list", prefix, True)
        return iter(found)


@pytest.fixture
def going(tmp_path: Path) -> DirectoryStore:
    """A store with the run `test`, whose schedule wants ten nets more than it has."""
    store = DirectoryStore(tmp_path / "going", durable=False)
    session = Session(store, settings(execution__max_trials=2))
    session.run_to_end()
    session.hold.release()
    return store


class TestWhoeverWritesMeanwhile:
    @pytest.mark.parametrize(
        ("call", "key", "after"),
        [
            ("list", "runs/test/", True),
            ("put_if_absent", "runs/other/run.json", True),
            ("delete", "runs/test/run.json", False),
        ],
    )
    def test_a_net_that_is_put_in_while_the_run_gets_a_name_goes_along(
        self, going: DirectoryStore, call: str, key: str, after: bool
    ) -> None:
        put_in: list[str] = []

        def happens() -> None:
            put_in.append(enqueue(going, read_run(going, "test"), NET, []).trial)

        rename(Meanwhile(going, call, key, happens, after), "test", "other", None, silent)
        assert waiting(going, "other", read_run(going, "other").state) == put_in
        assert list(going.list("runs/test/")) == []

    @pytest.mark.parametrize("after", [False, True])
    def test_a_net_is_promised_nothing_when_the_name_is_gone(self, going: DirectoryStore, after: bool) -> None:
        view = read_run(going, "test")
        event = proposal_of(view.record, view.state, Queued(net=NET, at="1"))

        def happens() -> None:
            rename(going, "test", "other", None, silent)

        late = Meanwhile(going, "put_if_absent", keys.queued("test", event.trial), happens, after)
        with pytest.raises(RunConflict, match="was renamed or removed meanwhile"):
            enqueue(late, view, NET, [])
        assert list(going.list("runs/test/")) == []

    def test_where_the_new_name_was_cut_short_the_net_goes_along_too(self, going: DirectoryStore) -> None:
        view = read_run(going, "test")

        def dies() -> None:
            enqueue(going, view, NET, [])
            raise SimulatedKill

        with pytest.raises(SimulatedKill):
            rename(Meanwhile(going, "delete", "runs/test/run.json", dies, False), "test", "other", None, silent)
        late = Meanwhile(going, "list", keys.queue("test"), kill, False)
        with pytest.raises(SimulatedKill):
            rename(late, "test", "other", None, silent)
        rename(going, "test", "other", None, silent)
        assert len(waiting(going, "other", read_run(going, "other").state)) == 1

    def test_a_verdict_goes_along_and_is_not_left_under_the_old_name(self, going: DirectoryStore) -> None:
        def happens() -> None:
            going.put(keys.finals("test"), b"verdict")

        key = "runs/other/run.json"
        rename(Meanwhile(going, "put_if_absent", key, happens, True), "test", "other", None, silent)
        assert going.get(keys.finals("other")) == b"verdict"

    def test_a_run_that_somebody_takes_over_while_it_is_copied_stays(self, going: DirectoryStore) -> None:
        def happens() -> None:
            Hold(going, "test", this_process("two", "2000"), lambda: 0.0).beat("2000")
            record = load_record(going, "test")
            _, journal = resume(going, record, record.settings_as_run(), "two")
            journal.append([Opened(at="2000", session="two", owner="two", version="0", goal=12)])

        late = Meanwhile(going, "put_if_absent", "runs/other/run.json", happens, True)
        with pytest.raises(RunHeld, match="was taken over by"):
            rename(late, "test", "other", None, silent)
        assert load_record(going, "test").run == "test"

    def test_the_copy_of_a_run_that_is_removed_meanwhile_is_no_run(self, going: DirectoryStore) -> None:
        late = Meanwhile(going, "list", "runs/test/", lambda: remove(going, "test", silent), True)
        with pytest.raises(RunConflict, match="was renamed or removed meanwhile: what was copied of it to other"):
            copy(late, "test", going, "other", silent)
        with pytest.raises(RunConflict, match="was copied in part"):
            load_record(going, "other")


def kill() -> None:
    raise SimulatedKill


class TestRename:
    def test_wherever_it_is_cut_short_the_same_call_goes_on(self, store: DirectoryStore, tmp_path: Path) -> None:
        wanted = contents(store, "test")
        for number in count(1, 3):
            place = DirectoryStore(tmp_path / f"store-{number}", durable=False)
            copy(store, "test", place, "test", silent)
            try:
                rename(FatalStore(place, number, False), "test", "other", None, silent)
                break
            except SimulatedKill:
                pass
            whole = {row.run for row in list_runs(place) if row.state == "complete"}
            assert whole & {"test", "other"}, "one of them is a run at any moment"
            if "test" in whole or list(place.list("runs/test/")):
                place.delete(keys.holder("test"))  # as if its process had ended, which lives on here
                rename(place, "test", "other", None, silent)
            assert contents(place, "other") == wanted
            assert list(place.list("runs/test/")) == []
        assert number > 30

    def test_one_listing_tells_all_of_many_runs(self, store: DirectoryStore) -> None:
        for number in range(3):
            copy(store, "test", store, f"copy-{number}", silent)

        class Counting(DirectoryStore):
            listed: list[str] = []  # noqa: RUF012 (one test's own)

            def list(self, prefix: str) -> Iterator[Entry]:
                self.listed.append(prefix)
                return super().list(prefix)

        rows = list_runs(Counting(store.uri))
        assert [(row.run, row.nets, row.goal) for row in rows] == [
            ("copy-0", 2, 2),
            ("copy-1", 2, 2),
            ("copy-2", 2, 2),
            ("test", 2, 2),
        ]
        assert Counting.listed.count("runs/") == 1
        assert sum(row.bytes for row in rows) == sum(Entry(*entry).size for entry in store.list("runs/"))
