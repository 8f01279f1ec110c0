"""status --watch: a run followed from its store alone."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from metaqnn_orch.application.listener import PACE
from metaqnn_orch.application.watching import LOOK, watch
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.control.holder import LEASE_SECONDS, Hold, this_process
from metaqnn_orch.errors import NotFound, StoreError
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause
from tests.cli.conftest import Cli
from tests.control.world import Session, settings


def test_a_run_that_is_over_is_shown_once(finished: DirectoryStore, cli: Cli) -> None:
    answer = cli("status", "test", "--store", finished.uri, "--watch", "-o", "json")
    assert answer.json()["state"] == "complete"
    assert answer.err.splitlines() == [
        "run test on digits: 12 of 12 nets trained, 2 at a time (scripted)",
        "Ctrl-C ends only the view, the run goes on",
    ]


def test_a_run_is_followed_to_its_end(finished: DirectoryStore, tmp_path: Path) -> None:
    """Its journal grows by an entry from look to look."""
    journal = [entry.key for entry in finished.list("runs/test/journal/")]
    store = DirectoryStore(tmp_path / "watched")
    for key in ("runs/test/run.json", "runs/test/holder.json", journal[0]):
        store.put(key, finished.get(key))
    coming, naps = iter(journal[1:]), 0

    def sleep(seconds: float) -> None:
        nonlocal naps
        naps += 1
        if naps % round(LOOK / PACE) == 0:
            key = next(coming)
            store.put(key, finished.get(key))

    written = io.StringIO()
    seen = watch(store, "test", Terminal(Console(file=written, width=200, soft_wrap=True)), sleep)
    assert seen.state.finished is not None
    assert (seen.state.unique, seen.position) == (12, len(journal))
    lines = written.getvalue().splitlines()
    assert lines[0] == "run test on digits: 0 of 12 nets trained, 2 at a time (scripted)"
    assert [line.split()[0] for line in lines if "params" in line] == [f"{number}/12" for number in range(1, 13)]


def test_a_store_out_of_reach_is_waited_for(finished: DirectoryStore) -> None:
    class Away(DirectoryStore):
        failures = 2

        def get(self, key: str, first: int | None = None) -> bytes:
            if "journal/" in key and self.armed and self.failures:
                self.failures -= 1
                raise StoreError("it is away", cause=Cause.OUTAGE)
            return super().get(key, first)

        armed = False

    last = list(finished.list("runs/test/journal/"))[-1].key
    kept = finished.get(last)
    finished.delete(last)
    Hold(finished, "test", this_process("one", "now"), lambda: 0.0).beat("now")
    store = Away(Path(finished.uri))
    written = io.StringIO()

    def sleep(seconds: float) -> None:
        store.armed = True
        store.put(last, kept)

    watch(store, "test", Terminal(Console(file=written, width=200)), sleep)
    assert "waiting: it is away" in written.getvalue()
    assert "going on" in written.getvalue()
    assert store.failures == 0


def test_a_run_that_nobody_works_on_says_so(store: DirectoryStore) -> None:
    session = Session(store, settings())
    session.run_to_end()
    last = list(store.list("runs/test/journal/"))[-1].key
    store.delete(last)
    session.hold.release()
    written = io.StringIO()

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(store, "test", Terminal(Console(file=written, width=200)), stop)
    assert "waiting: no orchestrator works on the run" in written.getvalue()


def test_what_the_orchestrator_waits_for_is_shown(store: DirectoryStore) -> None:
    session = Session(store, settings())
    session.run_to_end()
    store.delete(list(store.list("runs/test/journal/"))[-1].key)
    held, written = Hold(store, "test", this_process("one", "now"), lambda: 0.0), io.StringIO()
    held.beat("now", "exceeded quota: none")

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(store, "test", Terminal(Console(file=written, width=200)), stop)
    assert "waiting: exceeded quota: none" in written.getvalue()


def test_one_elsewhere_that_does_not_stir_any_more_is_gone(store: DirectoryStore) -> None:
    session = Session(store, settings())
    session.run_to_end()
    store.delete(list(store.list("runs/test/journal/"))[-1].key)
    elsewhere = this_process("one", "now").model_copy(update={"machine": "elsewhere"})
    written, seconds = io.StringIO(), 0.0

    def sleep(passed: float) -> None:
        nonlocal seconds
        seconds += passed
        if seconds < LEASE_SECONDS:
            assert "no orchestrator" not in written.getvalue()
            store.put("runs/test/holder.json", encode(elsewhere.model_copy(update={"beat": int(seconds) // 5})))
        if seconds > 3 * LEASE_SECONDS:
            raise KeyboardInterrupt

    store.put("runs/test/holder.json", encode(elsewhere))
    with pytest.raises(KeyboardInterrupt):
        watch(store, "test", Terminal(Console(file=written, width=200)), sleep, lambda: seconds)
    assert "waiting: no orchestrator works on the run" in written.getvalue()


def test_there_is_nothing_to_watch(store: DirectoryStore) -> None:
    Path(store.uri).mkdir()
    with pytest.raises(NotFound, match="no run 'test'"):
        watch(store, "test", Terminal(Console(file=io.StringIO())))
