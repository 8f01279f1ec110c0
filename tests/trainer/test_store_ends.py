"""How a trial ends where the store is the trouble: by whose turn it is."""

from __future__ import annotations

import time

import pytest

from metaqnn_trainer import errors
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause, StoreError
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PatientStore
from metaqnn_trainer.trial import Trainer
from tests.seaweedfs import S3Server
from tests.store.faulty_server import Answer, Script, error, faulty_server, page
from tests.trainer.conftest import RUN, Bench
from tests.trainer.test_image import ask


def answering(method: str, answer: Answer) -> Script:
    return lambda asked, _number: answer if asked == method else "pass on"


@pytest.fixture
def trial(s3_store_uri: str, digits: MadeDataset) -> str:
    """One that lies in the bucket with its dataset."""
    store = open_store(s3_store_uri)
    store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)
    return ask(store, digits.ref)


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("PUT", page(413), ["HTTP 413: Request Entity Too Large", "history", "proxy-body-size"]),
        ("PUT", error(403, "QuotaExceeded"), ["HTTP 403 QuotaExceeded", "history", "quota"]),
        ("GET", error(403, "AccessDenied"), ["HTTP 403 AccessDenied", "request.json"]),
        ("GET", error(400, "ExpiredToken"), ["HTTP 400 ExpiredToken", "request.json", "renew"]),
    ],
)
def test_a_refusal_ends_it_at_the_first_answer(
    method: str,
    answer: Answer,
    words: list[str],
    trial: str,
    s3_server: S3Server,
    s3_store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with faulty_server(answering(method, answer), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        began = time.monotonic()
        report = Trainer(1).carry_out(WorkOrder(store=s3_store_uri, run=RUN, trial=trial, attempt=1))
    assert report.exit_code == ExitCode.STORE_REFUSED
    assert all(word in report.reason for word in words), report.reason
    assert asked.count(method) == 1
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(("cause", "code"), [(Cause.FULL, ExitCode.STORE_REFUSED), (Cause.OUTAGE, ExitCode.STORE)])
def test_a_store_that_stays_full_or_away_is_waited_for_and_then_ends_it(
    cause: Cause, code: ExitCode, bench: Bench
) -> None:
    class Unwilling(DirectoryStore):
        """Takes nothing."""

        writes = 0

        def put(self, key: str, data: bytes) -> None:
            Unwilling.writes += 1
            raise StoreError(f"{key}: not now", cause=cause)

    trial = bench.ask()
    store = PatientStore(Unwilling(bench.root), (0.0, 0.0, 0.0))
    report = Trainer(1, opened=lambda uri: store).carry_out(bench.order(trial))
    assert "not now" in report.reason
    assert Unwilling.writes == 4
    assert report.exit_code == code


def test_what_to_do_is_said_with_what_happened() -> None:
    assert errors.in_words(StoreError("a: full\nstop", "free some space")) == "a: full stop (free some space)"
    assert errors.in_words(errors.DatasetError("gone")) == "gone"
    assert len(errors.in_words(StoreError("x" * 5000, "hint"))) <= 600
