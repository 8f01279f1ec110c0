"""Pictures of trials on the dashboard: whole PNG files of a size for a page are shown, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.history import LARGEST_PICTURE
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, result_for, settings
from tests.dashboard.conftest import Served, serving
from tests.dashboard.driver import browsing
from tests.reporting.browser import needs_chromium
from tests.reporting.test_pictures import png

POISON = {
    "good": png(),
    "html": b"<svg onload=alert(1)>",
    "large": png() + b"\0" * LARGEST_PICTURE,
    "damaged": png(),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("store")
    store = DirectoryStore(folder, durable=False)

    def drawn(_: object, request: TrainingRequest, attempt: int) -> Phase:
        found = {
            name: artifacts.put(store, request.run, request.trial, artifacts.PICTURE + name, data)
            for name, data in POISON.items()
        }
        result = result_for(request, attempt, pictures=found)
        store.put_if_absent(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    Session(store, settings(execution__max_trials=1)).run_to_end(drawn)
    next(folder.rglob("picture-damaged-*")).write_bytes(png()[:-1] + b"?")
    with serving(folder) as found:
        yield found


def place(served: Served) -> str:
    return f"/runs/test/trials/{served.json('/api/runs/test/trials')[0]['trial']}"


def test_only_whole_png_files_of_a_size_for_a_page_are_given(served: Served) -> None:
    answer, data = served.ask(f"{place(served)}/pictures/good")
    assert (answer.status, answer.headers["Content-Type"], data) == (200, "image/png", png())
    wrong = {"html": "no PNG file", "large": "more than a page shows", "damaged": "sha256"}
    for name, why in wrong.items():
        assert why in served.json(f"{place(served)}/pictures/{name}", status=400)["message"]
    for name in ("none", "..%2fresult.json", "good.png", "%00"):
        assert served.ask(f"{place(served)}/pictures/{name}")[0].status in (400, 404), name


@needs_chromium
def test_the_page_of_a_trial_shows_them_and_bears_the_others(served: Served, tmp_path: Path) -> None:
    with browsing(tmp_path) as browser:
        browser.size(390).open(served.address + place(served))
        browser.until("[...document.querySelectorAll('.picture img')].filter((one) => one.complete).length === 4")
        seen = browser.value("[...document.querySelectorAll('.picture img')].map((one) => [one.alt, one.naturalWidth])")
        assert dict(seen) == {"good": 8, "html": 0, "large": 0, "damaged": 0}
        assert browser.value("document.documentElement.scrollWidth") <= 390
