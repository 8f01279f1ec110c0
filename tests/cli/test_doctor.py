"""doctor on the store: every kind of wrong address, server and right gets a cross, its evidence and a remedy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.application.doctor.dataset import examine_dataset
from metaqnn_orch.application.doctor.diagnosis import Mark
from metaqnn_orch.application.doctor.local import examine_here
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.authority import make_authority
from tests.cli.conftest import Cli, needs_trainer, put_dataset
from tests.control.world import INFO
from tests.launchers.test_local import FAKE_WORKER
from tests.seaweedfs import S3Server, free_ports
from tests.store.faulty_server import Answer, Script, always, error, faulty_server, page

FAILING: Final = (sys.executable, "-c", "raise SystemExit('no step today')")
LISTING: Final = Answer(200, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")
EMPTY: Final = Answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")


def crosses(cli: Cli, uri: str) -> list[tuple[str, str]]:
    """What is wrong, each with its remedy."""
    answer = cli("doctor", "digits", "--store", uri, "--launcher=table")
    assert answer.code == 1, answer.out
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert all(line.isprintable() for line in lines)
    pairs = zip(lines, [*lines[1:], ""], strict=True)
    return [(line, fix.strip() if fix.startswith("    ") else "") for line, fix in pairs if line.startswith("✗")]


def test_all_is_well_and_nothing_is_left(cli: Cli, tmp_path: Path, s3_store_uri: str) -> None:
    for uri in (str(tmp_path / "store"), s3_store_uri):
        answer = cli("doctor", "digits", "--store", uri, "--launcher=table")
        assert answer.code == 0, answer.out
        assert {line[0] for line in answer.out.splitlines()} == {"✓"}
        assert "✓ store: accepts large objects: 8 MiB" in answer.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "evidence", "remedy"),
    [
        (page(200), "HTTP 200", "is not an S3 store"),
        (page(200)._replace(body=b"<!doctype html><p>Sign in<br>"), "HTTP 200", "is not an S3 store"),
        (page(404), "HTTP 404", "is not an S3 store"),
        (Answer(404), "HTTP 404", "is not an S3 store"),
        (Answer(301), "HTTP 301", "AWS_REGION"),
        (Answer(307), "HTTP 307", "AWS_REGION"),
        (Answer(301, b"", {"x-amz-bucket-region": "eu-west-1"}), "HTTP 301", "AWS_REGION=eu-west-1"),
        (
            Answer(301, b"", {"Location": "https://127.0.0.1:9/b"}),
            "HTTP 301",
            "it only supports TLS: set AWS_ENDPOINT_URL_S3",
        ),
        (Answer(301, b"", {"Location": "https://s3.example/b"}), "HTTP 301", "AWS_ENDPOINT_URL_S3=https://s3.example"),
        (Answer(302, b"", {"Location": "https://login.example/?token=x"}), "HTTP 302", "if not, the server there"),
        (Answer(302, b"", {"Location": "/login"}), "HTTP 302", "is not an S3 store"),
        (error(400, "ExpiredToken"), "HTTP 400 ExpiredToken", "renew them"),
        (error(403, "RequestTimeTooSkewed"), "HTTP 403 RequestTimeTooSkewed", "clock"),
        (error(403, "SecondLevelDomainForbidden"), "HTTP 403", "METAQNN_S3_ADDRESSING_STYLE=virtual"),
        (error(403, "AccessDenied"), "HTTP 403 AccessDenied", "may not do that"),
        (error(404, "NoSuchBucket"), "HTTP 404 NoSuchBucket", "aws s3 mb s3://bucket"),
        (LISTING, "HTTP 200 with an incomplete listing", "use another"),
    ],
)
def test_a_server_that_is_no_store_or_another_one(
    answer: Answer, evidence: str, remedy: str, cli: Cli, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server(always(answer)) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        line, fix = crosses(cli, "s3://bucket/runs")[0]
    assert line.startswith("✗ store: can be listed: s3://bucket/runs")
    assert f"{url} answered {evidence}" in line
    assert remedy in fix


def refusing(method: str, answer: Answer) -> Script:
    return lambda asked, _number: answer if asked == method else "pass on"


@pytest.mark.parametrize(
    ("method", "answer", "what", "remedy"),
    [
        ("PUT", page(413), "accepts large objects", "proxy-body-size"),
        ("PUT", error(403, "QuotaExceeded"), "accepts large objects", "quota"),
        ("PUT", error(507, "XMinioStorageFull"), "accepts large objects", "free some space"),
        ("PUT", error(501, "NotImplemented"), "conditional writes", "If-None-Match"),
        ("HEAD", page(404), "a missing object is reported as missing", "is not an S3 store"),
        ("GET", EMPTY, "a written object is listed", "its listings are not complete"),
    ],
)
def test_a_store_that_cannot_do_one_thing(
    method: str,
    answer: Answer,
    what: str,
    remedy: str,
    cli: Cli,
    s3_server: S3Server,
    s3_store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with faulty_server(refusing(method, answer), s3_server.endpoint) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        found = crosses(cli, s3_store_uri)
    assert any(line.startswith(f"✗ store: {what}") and remedy in fix for line, fix in found), found


@pytest.mark.parametrize(
    ("bundle", "evidence", "remedy"),
    [
        ("", "CERTIFICATE_VERIFY_FAILED", "store.caBundle"),
        ("/no/such/ca.crt", "No such file", "AWS_CA_BUNDLE"),
    ],
)
def test_an_authority_that_is_not_known(
    bundle: str,
    evidence: str,
    remedy: str,
    cli: Cli,
    tmp_path: Path,
    s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with faulty_server(always(EMPTY), tls=make_authority(tmp_path).server("127.0.0.1")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        if bundle:
            monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        line, fix = crosses(cli, "s3://bucket/runs")[0]
    assert url in line
    assert evidence in line
    assert remedy in fix


def test_an_outage_is_said_once(cli: Cli, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_ports(1)[0]}")
    [(line, fix)] = crosses(cli, "s3://bucket/runs")
    assert "Could not connect" in line
    assert "AWS_ENDPOINT_URL_S3" in fix


def test_no_credentials(cli: Cli, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    [(line, fix)] = crosses(cli, "s3://bucket/runs")
    assert "Unable to locate credentials" in line
    assert "AWS_ACCESS_KEY_ID" in fix


def test_a_client_that_cannot_be_made_is_a_cross(cli: Cli, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    [(line, fix)] = crosses(cli, "s3://bucket/runs")
    assert line.startswith("✗ store: a client for it: s3://bucket/runs: Partial credentials found")
    assert "AWS_ACCESS_KEY_ID" in fix


@needs_trainer
def test_the_trainer_is_started_and_trains(cli: Cli, tmp_path: Path) -> None:
    answer = cli("doctor", "digits", "--store", tmp_path / "store")
    assert answer.code == 0, answer.out
    lines = answer.out.splitlines()
    assert any(line.startswith("✓ trainer: installed: torch ") for line in lines)
    assert any(line.startswith("✓ trainer: starts: in ") for line in lines)
    (step,) = [line for line in lines if line.startswith("✓ trainer: trains one step: [")]
    assert " on 32 made images, because digits is not in the store yet, in " in step
    assert step.endswith("; measures accuracy, balanced_accuracy, loss")
    assert sum(line.startswith("✓ dataset: digits") for line in lines) == 1, "each is said once"
    assert not (tmp_path / "store").exists()


def test_a_trainer_that_cannot_be_started_is_a_cross_with_what_to_do(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import nothing_like_torch")
    found = {one.what: one for one in examine_here(load(), worker=command)}
    starts = found["trainer: starts"]
    assert starts.mark is Mark.BAD
    assert "No module named 'nothing_like_torch'" in starts.detail
    assert starts.fix == "pip install 'metaqnn-orch[train]'"
    assert "trainer: trains one step" not in found, "it would say the same"


def test_a_dataset_without_test_images_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    put_dataset(store, INFO.model_copy(update={"test": 0}))
    (said,) = examine_dataset(store, load())
    assert (said.mark, said.detail[-17:]) == (Mark.UNKNOWN, "none for the test")
    assert said.fix == "finals need test images; a search does not"


def load() -> Settings:
    return load_settings("digits", {}, [], {}).settings


def test_a_gpu_that_is_there_and_not_used_is_a_warning_with_its_evidence(tmp_path: Path) -> None:
    (tmp_path / "device").write_text("cpu, x86_64, 2 threads")
    (tmp_path / "unused").write_text("CUDA is not available: torch is built for CUDA 12.8, the NVIDIA driver is 470.1")
    worker = (sys.executable, str(FAKE_WORKER), str(tmp_path))
    found = {one.what: one for one in examine_here(load(), None, worker, FAILING)}
    starts = found["trainer: starts"]
    assert starts.mark is Mark.WARNING
    assert "on cpu, x86_64, 2 threads; there is a GPU, but it cannot be used: CUDA is not available" in starts.detail
    assert "the NVIDIA driver is 470.1" in starts.detail
    assert "nvidia-smi" in starts.fix
    step = found["trainer: trains one step"]  # which is tried all the same
    assert (step.mark, "no step today" in step.detail) == (Mark.BAD, True)
