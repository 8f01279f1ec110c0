"""What every exchange promises, and what each kind adds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from metaqnn_trainer.errors import ExchangeError, ObjectMissing
from metaqnn_trainer.exchange import _CLIENT, DirectoryExchange, Exchange, S3Exchange, open_exchange
from tests.seaweedfs import S3Server
from tests.store.faulty_server import always, error, faulty_server, sequence

KEY = "runs/a-run/trials/0123456789ab/result.json"


@pytest.fixture(params=["directory", "s3"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Exchange:
    if request.param == "directory":
        return open_exchange(str(tmp_path / "store"))
    uri: str = request.getfixturevalue("s3_store_uri")
    return open_exchange(uri)


def test_what_was_put_is_got(exchange: Exchange) -> None:
    data = bytes(range(256)) * 1000
    exchange.put(KEY, b"before")
    exchange.put(KEY, data)
    assert exchange.get(KEY) == data
    assert exchange.exists(KEY)
    assert open_exchange(exchange.uri).get(KEY) == data


def test_nothing_is_bytes_too(exchange: Exchange) -> None:
    exchange.put(KEY, b"")
    assert exchange.get(KEY) == b""
    assert not exchange.put_if_absent(KEY, b"more")


def test_missing_is_its_own_error(exchange: Exchange) -> None:
    with pytest.raises(ObjectMissing, match=r"result\.json: no such object$"):
        exchange.get(KEY)
    assert not exchange.exists(KEY)
    exchange.delete(KEY)


def test_deleted_is_gone(exchange: Exchange) -> None:
    exchange.put(KEY, b"x")
    exchange.delete(KEY)
    assert not exchange.exists(KEY)
    assert exchange.put_if_absent(KEY, b"y")


def test_put_if_absent_keeps_the_first_even_against_equal_bytes(exchange: Exchange) -> None:
    assert exchange.put_if_absent(KEY, b"first")
    assert not exchange.put_if_absent(KEY, b"second")
    assert not exchange.put_if_absent(KEY, b"first")
    assert exchange.get(KEY) == b"first"


def test_of_racing_writers_one_wins(exchange: Exchange) -> None:
    wins: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        if exchange.put_if_absent(KEY, b"%d" % number):
            wins.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert exchange.get(KEY) == b"%d" % wins[0]


def test_a_directory_holds_objects_and_nothing_else(tmp_path: Path) -> None:
    exchange = DirectoryExchange(tmp_path / "store")
    exchange.put("a/b", b"1")
    exchange.put_if_absent("a/c", b"2")
    exchange.put_if_absent("a/c", b"3")
    assert sorted(path.name for path in (tmp_path / "store").rglob("*")) == ["a", "b", "c"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a directory")
    exchange = DirectoryExchange(tmp_path)
    with pytest.raises(ExchangeError, match=str(tmp_path / KEY)):
        exchange.put(KEY, b"x")
    (tmp_path / "runs").unlink()
    (tmp_path / KEY).mkdir(parents=True)
    with pytest.raises(ExchangeError, match=str(tmp_path / KEY)):
        exchange.get(KEY)
    assert not exchange.put_if_absent(KEY, b"x")


def test_addresses(tmp_path: Path, s3_endpoint: str) -> None:
    assert open_exchange("runs").uri == str(Path("runs").absolute())
    assert open_exchange(f"file://{tmp_path}/with%20blank").uri == f"{tmp_path}/with blank"
    assert open_exchange("s3://bucket").uri == "s3://bucket"
    assert open_exchange("s3://bucket/some/prefix/").uri == "s3://bucket/some/prefix"


@pytest.mark.parametrize("uri", ["", "gs://bucket", "s3://", "s3://Bucket", "s3://key:secret@bucket", "file://host/x"])
def test_other_addresses_are_refused_without_repeating_secrets(uri: str) -> None:
    with pytest.raises(ExchangeError, match=r"path, file:///path or s3://bucket/prefix") as raised:
        open_exchange(uri)
    assert "secret" not in str(raised.value)


def test_a_missing_bucket_and_wrong_credentials_are_said(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExchangeError, match=r"s3://no-such-bucket/runs.*NoSuchBucket"):
        S3Exchange("no-such-bucket").put(KEY, b"x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    with pytest.raises(ExchangeError, match=r"InvalidAccessKeyId|AccessDenied"):
        S3Exchange("no-such-bucket").get(KEY)


def test_nobody_listens(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(ExchangeError, match=r"127\.0\.0\.1:9"):
        S3Exchange("a-bucket").get(KEY)


def test_a_write_whose_reply_was_lost_is_ours(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server(sequence("lose the reply"), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert open_exchange(s3_store_uri).put_if_absent(KEY, b"ours")
    assert list(asked) == ["PUT", "PUT", "GET"]


def test_a_store_that_is_away_for_a_while_gets_what_was_trained(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaqnn_trainer.exchange._OUTAGE_PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setitem(_CLIENT, "retries", {"total_max_attempts": 1})
    away = error(503, "ServiceUnavailable")
    with faulty_server(sequence(away, away, "lose the reply"), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert open_exchange(s3_store_uri).put_if_absent(KEY, b"ours")
    assert list(asked) == ["PUT", "PUT", "PUT", "PUT", "GET"]
    with faulty_server(always(away), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(ExchangeError, match="ServiceUnavailable"):
            open_exchange(s3_store_uri).put(KEY, b"ours")
    assert list(asked) == ["PUT"] * 4


def test_a_write_that_lost_is_not_ours_though_its_reply_was_lost(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = open_exchange(s3_store_uri)
    direct.put(KEY, b"theirs")
    with faulty_server(sequence("lose the reply"), s3_server.endpoint) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert not open_exchange(s3_store_uri).put_if_absent(KEY, b"ours")
    assert direct.get(KEY) == b"theirs"


def test_a_conflict_is_asked_again(s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conflict = error(409, "ConditionalRequestConflict")
    with faulty_server(sequence(conflict, conflict), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert open_exchange(s3_store_uri).put_if_absent(KEY, b"ours")
    assert list(asked) == ["PUT", "PUT", "PUT"]


def test_an_answer_that_breaks_off_is_read_again(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(100_000)
    open_exchange(s3_store_uri).put(KEY, data)
    with faulty_server(sequence("cut the reply", "cut the reply"), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert open_exchange(s3_store_uri).get(KEY) == data
    assert list(asked) == ["GET", "GET", "GET"]


def test_an_answer_that_always_breaks_off_is_an_error(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_exchange(s3_store_uri).put(KEY, bytes(100_000))
    with faulty_server(always("cut the reply"), s3_server.endpoint) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(ExchangeError, match=KEY):
            open_exchange(s3_store_uri).get(KEY)


def test_whoever_may_not_list_is_not_told_what_is_missing(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_server(always(error(403, "AccessDenied"))) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert not S3Exchange("bucket").exists(KEY)
        with pytest.raises(ExchangeError, match="AccessDenied"):
            S3Exchange("bucket").get(KEY)


def test_a_refusal_is_no_absence(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_server(always(error(400, "AuthorizationHeaderMalformed"))) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(ExchangeError, match="400"):
            S3Exchange("bucket").exists(KEY)
        with pytest.raises(ExchangeError, match="AuthorizationHeaderMalformed"):
            S3Exchange("bucket").put_if_absent(KEY, b"x")
