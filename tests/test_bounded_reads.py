"""Nobody reads more of a foreign object than can be used: what should be a few kilobytes of JSON may be anything."""

from __future__ import annotations

import ast
import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.events import MAX_ENTRY_BYTES, decode_entry
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.ingest import Refused, read_result
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import JournalError
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Entry
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import OBJECTIVE, Session, settings

ROOT: Final = Path(__file__).parents[1]
LARGE_BY_RIGHT: Final = {
    "orchestrator/metaqnn_orch/application/beginning.py: aside.get(key)": "a dataset that was made a moment ago",
    "trainer_image/metaqnn_trainer/fetching.py: store.get(key)": "a dataset",
    "trainer_image/metaqnn_trainer/reading.py: self._store.get(key)": "whatever else a task asks for",
    "trainer_image/metaqnn_trainer/training/checkpoint.py: self._store.get(self._key)": "a checkpoint",
}
RECEIVERS: Final = ("store", "aside", "opened", "inner")


def unbounded_reads(path: Path) -> list[str]:
    """Calls of a store's `get` with a key alone."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            receiver = ast.unparse(node.func.value)
            if receiver.endswith(RECEIVERS) and len(node.args) == 1 and not node.keywords:
                found.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    return found


def test_every_read_without_a_bound_is_of_what_is_large_by_right() -> None:
    sources = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "trainer_image").rglob("*.py")]
    found = {call for path in sources if path.parent.name != "store" for call in unbounded_reads(path)}
    assert found <= set(LARGE_BY_RIGHT)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path)
    Session(store, settings()).run_to_end()
    return store


HUGE: Final = b"[" + b"0," * ENOUGH_BYTES


def test_messages_that_are_too_long_are_none(store: DirectoryStore) -> None:
    record = load_record(store, "test")
    net = next(iter(store.list("runs/test/trials/"))).key
    trial = net.split("/")[3]
    store.put(keys.holder("test"), HUGE)
    assert read_holder(store, "test") is None
    store.put(keys.result("test", trial), HUGE)
    request = TrainingRequest(run="test", trial=trial, spec=record.spec(settings(), "[SM(10)]"))
    refused = read_result(store, record.info, request, OBJECTIVE)
    assert isinstance(refused, Refused)
    assert "more than the 1048576 bytes" in refused.reason
    assert len(refused.data) == ENOUGH_BYTES, "and no more is kept for people"
    store.put(keys.run_record("test"), HUGE)
    with pytest.raises(MessageError, match="more than the 1048576 bytes"):
        load_record(store, "test")


def test_an_entry_that_is_too_long_is_damaged(store: DirectoryStore) -> None:
    with pytest.raises(JournalError, match="has more than the 67108864 bytes"):
        decode_entry(bytes(MAX_ENTRY_BYTES + 1), "entry")
    with (Path(store.uri) / keys.journal_entry("test", 1)).open("r+b") as file:
        file.truncate(1 << 32)  # of which the disk holds next to nothing
    with pytest.raises(JournalError, match="has more than the 67108864 bytes"):
        list(Journal(store, "test").read())


def test_a_bomb_of_zeros_is_passed_over(store: DirectoryStore, tmp_path: Path) -> None:
    entry = store.get(keys.journal_entry("test", 1))
    bomb = tmp_path / "bomb"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(5):
            file.write(bytes(1 << 26))
    assert bomb.stat().st_size < 1 << 22
    assert snapshot.decode(bomb.read_bytes(), entry, settings()) is None
    store.put(keys.snapshot("test", 1), bomb.read_bytes())
    assert snapshot.load(store, "test", settings()) is None


class CutListing(DirectoryStore):
    """A store whose listings end after two objects, and say nothing of it."""

    def list(self, prefix: str) -> Iterator[Entry]:
        return islice(super().list(prefix), 2)


def test_a_listing_that_ends_too_early_hides_no_entry(store: DirectoryStore) -> None:
    whole, cut = Journal(store, "test"), Journal(CutListing(store.uri), "test")
    assert list(cut.read()) == list(whole.read())
    assert cut.position == whole.position > 2
    assert list(cut.read()) == []
