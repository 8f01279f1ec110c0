"""What a store refuses, for a while or for good, as a trial's end tells of it. The store is a real S3, its refusals an
ingress's or a policy's in front of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PatientStore
from metaqnn_trainer.store.s3 import S3Store
from metaqnn_trainer.trial import Trainer
from tests.seaweedfs import S3Server
from tests.store.behind import client_of
from tests.store.faulty_server import Answer, Reaction, Script, error, faulty_server
from tests.trainer.conftest import RUN, spec_of

TOO_LARGE = Answer(413, b"<html><body>413 Request Entity Too Large</body></html>", {"Content-Type": "text/html"})
DENIED = error(403, "AccessDenied", "no permission")
FULL = error(507, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.")
AWAY = error(503, "ServiceUnavailable", "come back later")


def writes(*reactions: Reaction) -> Script:
    """To one write after the other, the last to all that follow; everything else is passed on."""
    left = list(reactions)

    def script(method: str, number: int) -> Reaction:
        if method != "PUT":
            return "pass on"
        return left.pop(0) if len(left) > 1 else left[0]

    return script


@contextmanager
def asked(
    script: Script, server: S3Server, digits: MadeDataset, uri: str
) -> Iterator[tuple[str, WorkReport, list[str]]]:
    """The report on a trial whose trainer sees the store behind a server that does as the script says."""
    store = open_store(uri)
    store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)
    spec = spec_of(digits.ref, recipe=Recipe(epochs=3, batch_size=128))
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec, options=TrainerOptions(checkpoint_seconds=0))
    store.put(keys.request(RUN, request.trial), encode(request))
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    with faulty_server(script, server.endpoint) as (url, methods):
        seen = S3Store(bucket, prefix, client_of(url, *server[1:3]))
        trainer = Trainer(1, opened=lambda _uri: PatientStore(seen, (0.01, 0.01)))
        report = trainer.carry_out(WorkOrder(store=uri, run=RUN, trial=request.trial, attempt=1))
        yield keys.trial(RUN, request.trial), report, list(methods)


def left(uri: str, prefix: str) -> set[str]:
    return {
        entry.key.removeprefix(prefix).partition("-")[0].partition(".")[0] for entry in open_store(uri).list(prefix)
    }


@pytest.mark.parametrize(
    ("reaction", "code", "evidence"),
    [
        (TOO_LARGE, ExitCode.STORE_REFUSED, ["HTTP 413"]),
        (DENIED, ExitCode.STORE_REFUSED, ["HTTP 403 AccessDenied", "no permission"]),
        (FULL, ExitCode.STORE_REFUSED, ["HTTP 507 XMinioStorageFull", "minimum free drive"]),
        (AWAY, ExitCode.STORE, ["HTTP 503 ServiceUnavailable", "come back later"]),
    ],
    ids=["too large", "denied", "full", "away"],
)
def test_a_store_that_takes_nothing(
    reaction: Reaction,
    code: ExitCode,
    evidence: Sequence[str],
    s3_server: S3Server,
    s3_store_uri: str,
    digits: MadeDataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with asked(writes(reaction), s3_server, digits, s3_store_uri) as (prefix, report, methods):
        assert report.exit_code == code, report.reason
        for text in [*evidence, f"{prefix}history-"]:
            assert text in report.reason
        assert left(s3_store_uri, prefix) == {"request"}
    told = [line for line in capsys.readouterr().err.splitlines() if "a checkpoint could not be written" in line]
    assert all(line.startswith(f"trial {report.trial}: ") for line in told)
    if reaction in (TOO_LARGE, DENIED):
        assert methods.count("PUT") == 2, "each is refused once: a checkpoint, and the history"
        assert len(told) == 1


def test_checkpoints_that_are_too_large_do_not_stand_in_the_way(
    s3_server: S3Server, s3_store_uri: str, digits: MadeDataset
) -> None:
    with asked(writes(TOO_LARGE, "pass on"), s3_server, digits, s3_store_uri) as (prefix, report, methods):
        assert report.exit_code == ExitCode.DELIVERED
        assert methods.count("PUT") == 4, "one checkpoint that was refused, history, weights and result"
        assert left(s3_store_uri, prefix) == {"request", "result", "history", "weights"}


@pytest.mark.parametrize(("reaction", "code"), [(DENIED, ExitCode.STORE_REFUSED), (AWAY, ExitCode.STORE)])
def test_what_cannot_be_read(
    reaction: Reaction, code: ExitCode, s3_server: S3Server, s3_store_uri: str, digits: MadeDataset
) -> None:
    """The request, and the dataset: not the trial's fault, and not the dataset's."""
    for passed, key in ((0, "/request.json"), (1, "datasets/digits-")):
        gets: Iterator[Reaction] = iter(["pass on"] * passed)

        def script(method: str, number: int, gets: Iterator[Reaction] = gets) -> Reaction:
            return next(gets, reaction) if method == "GET" else "pass on"

        with asked(script, s3_server, digits, s3_store_uri) as (prefix, report, _):
            assert report.exit_code == code
            assert key in report.reason
            assert left(s3_store_uri, prefix) == {"request"}
