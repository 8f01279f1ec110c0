"""Pictures of results: whole ones of the best nets are in the page, and nothing else is."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image

from metaqnn_orch.control.ingest import Refused, read_result
from metaqnn_orch.control.requests import request_of
from metaqnn_orch.control.retention import Why, orphans
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.history import read_history, read_pictures
from metaqnn_orch.reporting.report import compose
from metaqnn_orch.reporting.summary import RunView, leaderboard, read_run
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import INFO, OBJECTIVE, Session, result_for, settings


def png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(data, "PNG")
    return data.getvalue()


def drawn(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    artifact = artifacts.put(store, request.run, request.trial, artifacts.PICTURE + "mistakes", png())
    result = result_for(request, attempt, pictures={"mistakes": artifact})
    store.put_if_absent(keys.result(request.run, request.trial), encode(result))
    return Phase.DELIVERED


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path, durable=False)


@pytest.fixture
def view(store: DirectoryStore) -> RunView:
    Session(store, settings(execution__max_trials=3)).run_to_end(drawn)
    return read_run(store, "test")


def place(store: DirectoryStore, view: RunView, rank: int) -> Path:
    folder = Path(store.uri) / keys.trial("test", view.state.ranking()[rank].trial)
    return next(folder.glob("picture-*"))


def test_the_page_shows_them_and_they_lie_beside_it(store: DirectoryStore, view: RunView) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    shown = read_pictures(store, view, leaderboard(view.state, 2), pytest.fail)
    assert list(shown.values()) == [{"mistakes": png()}] * 2
    made = compose(view, read_history(store, view), None, top=2, shown=shown)
    text = made.files["index.html"].decode()
    assert text.count(f'<img alt="mistakes" src="data:image/png;base64,{b64encode(png()).decode()}">') == 2
    assert "img-src data:" in text
    assert made.files["net-01-mistakes.png"] == made.files["net-02-mistakes.png"] == png()


def test_one_that_is_damaged_or_gone_is_left_out(store: DirectoryStore, view: RunView) -> None:
    place(store, view, 0).write_bytes(png()[:-1] + b"?")
    place(store, view, 1).unlink()
    last = view.state.ranking()[2].trial
    said: list[str] = []
    assert read_pictures(store, view, view.state.ranking(), said.append) == {last: {"mistakes": png()}}
    assert [line.split(" is left out: ")[0].split()[0] for line in said] == ["picture"] * 2


def test_a_result_whose_picture_is_missing_is_refused(store: DirectoryStore, view: RunView) -> None:
    place(store, view, 0).unlink()
    request = request_of(view.record, view.state.settings, view.state.ranking()[0])
    found = read_result(store, INFO, request, OBJECTIVE)
    assert isinstance(found, Refused)
    assert "which is not there" in found.reason


def test_one_that_no_result_names_is_an_orphan(store: DirectoryStore, view: RunView) -> None:
    trial = view.state.ranking()[0].trial
    artifacts.put(store, "test", trial, artifacts.PICTURE + "mistakes", b"of an attempt that was killed")
    (found,) = orphans(store, view.state, store.list(keys.trials("test")), "test")
    assert (found.trial, found.why) == (trial, Why.ORPHAN)
