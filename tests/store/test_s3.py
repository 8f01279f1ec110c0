"""What is S3's own: the wire, credentials and configuration, and errors in words.

Everything here goes over a socket: to SeaweedFS, to a server in front of it that loses replies, or to one that answers
with errors that SeaweedFS would not give.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_trainer.store.base import exists, honours_put_if_absent
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PATIENCE, PatientStore
from metaqnn_trainer.store.s3 import S3Store
from metaqnn_trainer.store.s3_client import default_client
from tests.seaweedfs import S3Server, free_ports
from tests.store.faulty_server import Reaction, Script, always, error, faulty_server, sequence

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def client_of(endpoint: str, key: str = "anybody", secret: str = "anything", patience: float = 20) -> S3Client:
    """A client that asks once, and waits `patience` seconds for an answer."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=patience,
            read_timeout=patience,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def store_behind(
    script: Script, server: S3Server | None = None, bucket: str = ""
) -> Iterator[tuple[S3Store, Sequence[str]]]:
    """A store that asks once, and the methods that its server was asked."""
    with faulty_server(script, server.endpoint if server else "") as (url, asked):
        client = client_of(url, *(server[1:3] if server else ()))
        yield S3Store(bucket or (server.bucket if server else "bucket"), f"p{id(asked)}", client), asked
        client.close()


VERBS: list[Callable[[S3Store], object]] = [
    lambda store: store.put("a", b"1"),
    lambda store: store.put_if_absent("a", b"1"),
    lambda store: store.get("a"),
    lambda store: store.get("a", first=10),
    lambda store: list(store.list("")),
    lambda store: store.delete("a"),
]
each_verb = pytest.mark.parametrize("call", VERBS, ids=["put", "put_if_absent", "get", "get first", "list", "delete"])


# Replies that are lost


def test_a_write_whose_reply_was_lost_is_still_ours(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server(sequence("lose the reply"), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        store = open_store(s3_store_uri)
        assert store.put_if_absent("journal/1", b"by me") is True
        assert asked == ["PUT", "PUT", "GET"], "the second is answered 412, so the content is compared"
        assert store.put_if_absent("journal/1", b"by me") is False
        assert store.put_if_absent("journal/1", b"by another") is False
        assert asked == ["PUT", "PUT", "GET", "PUT", "PUT"], "without a repetition nothing is compared"


def test_a_lost_reply_does_not_make_another_writers_object_ours(
    s3_server: S3Server, s3_store_uri: str, s3_client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Store(s3_server.bucket, s3_store_uri.split("/")[-1], s3_client).put("journal/1", b"by another")
    with faulty_server(sequence("lose the reply"), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert open_store(s3_store_uri).put_if_absent("journal/1", b"by me") is False
        assert asked == ["PUT", "PUT", "GET"]


@pytest.mark.parametrize("reaction", ["hang up", error(500, "InternalError"), error(503, "SlowDown")])
def test_boto3_asks_again(
    s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch, reaction: Reaction
) -> None:
    with faulty_server(sequence(reaction), s3_server.endpoint) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        store = open_store(s3_store_uri)
        assert store.put_if_absent("a", b"1") is True
        assert asked == ["PUT", "PUT"]


def test_a_conflict_of_two_conditional_writes_is_tried_again(s3_server: S3Server) -> None:
    conflict = error(409, "ConditionalRequestConflict")
    with store_behind(sequence(conflict, conflict), s3_server) as (store, asked):
        assert store.put_if_absent("a", b"1") is True
        assert asked == ["PUT"] * 3
    with store_behind(sequence(conflict, error(412, "PreconditionFailed"))) as (store, asked):
        assert store.put_if_absent("a", b"1") is False, "the other one won"
        assert asked == ["PUT"] * 2
    with store_behind(always(conflict)) as (store, asked):
        with pytest.raises(StoreError, match="ConditionalRequestConflict") as caught:
            store.put_if_absent("a", b"1")
        assert caught.value.transient
        assert len(asked) == 5


CUT: Final = "cut the reply"


@pytest.mark.parametrize("first", [None, 9000])
def test_an_object_cut_off_on_its_way_is_read_again(s3_server: S3Server, first: int | None) -> None:
    data = b"0123456789" * 1000
    with store_behind(sequence("pass on", "cut the reply", "cut the reply"), s3_server) as (store, asked):
        store.put("a", data)
        assert store.get("a", first) == data[:first]
    assert asked == ["PUT", "GET", "GET", "GET"]


@pytest.mark.parametrize("first", [None, 9000])
def test_an_object_that_is_always_cut_off_is_an_error_and_not_a_shorter_object(
    s3_server: S3Server, first: int | None
) -> None:
    with store_behind(sequence("pass on", CUT, CUT, CUT), s3_server) as (store, asked):
        store.put("a", b"0123456789" * 1000)
        with pytest.raises(StoreError, match="/a: ") as caught:
            store.get("a", first)
        assert caught.value.transient
        assert asked == ["PUT", "GET", "GET", "GET"]
        assert store.get("a", 5) == b"01234"


# Waiting for a store that is away


AWAY = error(503, "ServiceUnavailable")


def test_a_store_that_is_away_for_a_while_gets_what_was_trained(s3_server: S3Server) -> None:
    with store_behind(sequence(AWAY, "hang up", "lose the reply"), s3_server) as (store, asked):
        patient = PatientStore(store, (0.01, 0.01, 0.01))
        assert patient.put_if_absent("a", b"ours")
        assert asked == ["PUT"] * 4 + ["GET"], "the fourth is answered 412, so the content is compared"
        patient.put("a", b"replaced")
        assert store.get("a") == b"replaced"


def test_what_another_wrote_meanwhile_stays_theirs(s3_server: S3Server) -> None:
    with store_behind(sequence("pass on", AWAY), s3_server) as (store, _):
        store.put("a", b"theirs")
        assert not PatientStore(store, (0.01,)).put_if_absent("a", b"ours")
        assert store.get("a") == b"theirs"


def test_patience_has_an_end() -> None:
    for write in (PatientStore.put, PatientStore.put_if_absent):
        with store_behind(always(AWAY)) as (store, asked):
            with pytest.raises(StoreError, match="ServiceUnavailable"):
                write(PatientStore(store, (0.01, 0.01)), "a", b"ours")
            assert asked == ["PUT"] * 3


def test_whoever_may_not_list_is_not_told_what_is_missing() -> None:
    with store_behind(always(error(403, "AccessDenied"))) as (store, _):
        assert not exists(store, "a")
        with pytest.raises(StoreError, match="AccessDenied"):
            store.get("a")
        with pytest.raises(StoreError, match="403") as caught:
            store.stat("a")
        assert caught.value.status == 403


def test_a_refusal_is_no_absence() -> None:
    with store_behind(always(error(400, "AuthorizationHeaderMalformed"))) as (store, _):
        with pytest.raises(StoreError, match="400"):
            exists(store, "a")
        with pytest.raises(StoreError, match="AuthorizationHeaderMalformed"):
            PatientStore(store, PATIENCE).put_if_absent("a", b"x")


def test_a_server_that_ignores_ranges(s3_server: S3Server) -> None:
    with store_behind(lambda _method, _number: error(200, "whole")) as (store, _):
        assert store.get("a", first=4) == b"<Err"
        assert store.get("a", first=0) == b""


# Errors in words


@each_verb
def test_nobody_listens(call: Callable[[S3Store], object]) -> None:
    [port] = free_ports(1)
    client = client_of(f"http://127.0.0.1:{port}")
    with pytest.raises(StoreError, match="Could not connect") as caught:
        call(S3Store("bucket", "runs", client))
    assert caught.value.transient
    assert "AWS_ENDPOINT_URL_S3" in caught.value.hint
    assert str(caught.value).startswith("s3://bucket/runs")
    client.close()


@each_verb
def test_a_server_that_accepts_and_says_nothing(call: Callable[[S3Store], object]) -> None:
    released = threading.Event()

    def silent(_method: str, _number: int) -> Reaction:
        released.wait(10)
        return "hang up"

    with faulty_server(silent) as (url, _):
        client = client_of(url, patience=0.3)
        with pytest.raises(StoreError, match="timeout") as caught:
            call(S3Store("bucket", "runs", client))
        assert caught.value.transient
        released.set()
        client.close()


@each_verb
def test_a_bucket_that_is_not_there(call: Callable[[S3Store], object], s3_server: S3Server) -> None:
    client = client_of(s3_server.endpoint, *s3_server[1:3])
    with pytest.raises(StoreError, match="NoSuchBucket") as caught:
        call(S3Store("no-such-bucket", "runs", client))
    assert not isinstance(caught.value, ObjectMissing)
    assert not caught.value.transient
    assert caught.value.hint == "create the bucket: aws s3 mb s3://no-such-bucket"
    client.close()


SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize("known", [True, False])
def test_credentials_that_the_store_does_not_know(s3_server: S3Server, known: bool) -> None:
    client = client_of(s3_server.endpoint, s3_server.access_key if known else "nobody", SECRET)
    with pytest.raises(StoreError, match="SignatureDoesNotMatch" if known else "InvalidAccessKeyId") as caught:
        S3Store(s3_server.bucket, "", client).put("a", b"")
    assert "does not accept these credentials" in caught.value.hint
    assert SECRET not in str(caught.value) + caught.value.hint
    assert not caught.value.transient
    client.close()


def test_no_credentials_at_all(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = S3Store("bucket")
    for call in VERBS:
        with pytest.raises(StoreError, match="Unable to locate credentials") as caught:
            call(store)
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint
        assert not caught.value.transient


@pytest.mark.parametrize(
    ("answer", "words", "hint", "transient"),
    [
        (error(403, "AccessDenied", "Access Denied"), "AccessDenied: Access Denied", "s3:ListBucket", False),
        (error(403, "SomethingElse"), "SomethingElse", "s3:ListBucket", False),
        (error(400, "ExpiredToken"), "ExpiredToken", "renew", False),
        (error(403, "RequestTimeTooSkewed"), "RequestTimeTooSkewed", "clock", False),
        (error(400, "AuthorizationHeaderMalformed"), "AuthorizationHeaderMalformed", "AWS_DEFAULT_REGION", False),
        (error(501, "NotImplemented"), "NotImplemented", "If-None-Match", False),
        (error(404, "NoSuchUpload"), "NoSuchUpload", "does not speak S3", False),
        (error(405, "MethodNotAllowed"), "MethodNotAllowed", "does not speak S3", False),
        (error(500, "InternalError"), "InternalError", "", True),
        (error(503, "SlowDown"), "SlowDown", "", True),
        (error(429, "TooManyRequests"), "TooManyRequests", "", True),
        (error(400, "RequestTimeout"), "RequestTimeout", "", True),
        (error(400, "BadDigest"), "BadDigest", "", True),
        (error(502, "html")._replace(body=b"<html><body>Bad gateway</body></html>"), "502: Bad Gateway", "", True),
        (error(504, "")._replace(body=b""), "504: Gateway Timeout", "", True),
        (error(400, "Odd", "a\u202ered\nline " + "x" * 5000), "Odd: a red line xxx", "", False),
        (error(400, "Odd", "see http://me:secret@host/"), "see http://***@host/", "", False),
    ],
)
def test_what_the_store_answers_becomes_a_line_and_a_hint(
    answer: Reaction, words: str, hint: str, transient: bool
) -> None:
    with store_behind(always(answer)) as (store, _), pytest.raises(StoreError) as caught:
        store.put_if_absent("a/b", b"1")
    assert words in str(caught.value)
    assert str(caught.value).startswith(store.uri + "/a/b: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)
    assert caught.value.transient is transient


def test_what_is_no_s3_at_all() -> None:
    page = error(200, "")._replace(body=b"<!doctype html><p>Welcome")
    with store_behind(always(page)) as (store, _), pytest.raises(StoreError):
        list(store.list(""))


def test_a_store_that_ignores_conditions_is_found_out(s3_server: S3Server) -> None:
    client = client_of(s3_server.endpoint, *s3_server[1:3])

    def forget_the_condition(request: AWSRequest, **_: object) -> None:
        del request.headers["If-None-Match"]

    client.meta.events.register("before-sign.s3.PutObject", forget_the_condition)
    store = S3Store(s3_server.bucket, "forgetful", client)
    assert not honours_put_if_absent(store, "runs/")
    assert list(store.list("")) == []
    client.close()


# Configuration


def test_foreign_objects_are_not_shown(s3_server: S3Server, s3_client: S3Client, s3_store_uri: str) -> None:
    prefix = s3_store_uri.removeprefix(f"s3://{s3_server.bucket}/")
    for key in (f"{prefix}/runs/a", f"{prefix}/README.md", f"{prefix}/runs/.hidden", f"{prefix}-other/runs/b"):
        s3_client.put_object(Bucket=s3_server.bucket, Key=key, Body=b"")
    store = S3Store(s3_server.bucket, prefix, s3_client)
    assert [entry.key for entry in store.list("")] == ["runs/a"]


def test_the_whole_bucket_can_be_the_store(s3_server: S3Server, s3_client: S3Client) -> None:
    store = S3Store(s3_server.bucket, "", s3_client)
    assert store.uri == f"s3://{s3_server.bucket}"
    store.put("whole/bucket", b"1")
    assert s3_client.get_object(Bucket=s3_server.bucket, Key="whole/bucket")["Body"].read() == b"1"
    assert [entry.key for entry in store.list("whole/")] == ["whole/bucket"]


def test_other_endpoints_get_what_they_understand(s3_endpoint: str) -> None:
    client = default_client()
    assert client.meta.endpoint_url == s3_endpoint
    config = vars(client.meta.config)
    assert config["s3"]["addressing_style"] == "path"
    assert config["request_checksum_calculation"] == config["response_checksum_validation"] == "when_required"
    assert config["retries"]["total_max_attempts"] == 5
    client.close()


@pytest.mark.parametrize(
    ("region", "host"), [("", "s3.amazonaws.com"), ("eu-central-1", "s3.eu-central-1.amazonaws.com")]
)
def test_aws_itself_keeps_its_defaults(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    if region:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    client = default_client()
    assert client.meta.endpoint_url == f"https://{host}"
    config = vars(client.meta.config)
    assert config["request_checksum_calculation"] == "when_supported"
    assert (config["s3"] or {}).get("addressing_style") != "path"
    client.close()


def test_the_configuration_file_is_obeyed(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = lab-1\nendpoint_url = https://s3.lab.example:9000\n"
        "s3 =\n  addressing_style = virtual\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    client = default_client()
    assert client.meta.endpoint_url == "https://s3.lab.example:9000"
    assert client.meta.region_name == "lab-1"
    assert vars(client.meta.config)["s3"]["addressing_style"] == "virtual"
    client.close()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_PROFILE", "nobody", "nobody"),
        ("AWS_ENDPOINT_URL_S3", "not a url", "not a url"),
        ("AWS_ENDPOINT_URL_S3", "http://user:secret@", "Invalid endpoint"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=words) as caught:
        open_store("s3://bucket/runs")
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://user:secret@host:port", "http://user:secret@127.0.0.1:1", "ftp://host"])
def test_an_endpoint_that_cannot_be_used(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(StoreError) as caught:
        open_store("s3://bucket/runs").put("a", b"")
    assert "AWS_ENDPOINT_URL_S3" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_boto3_is_not_imported_for_a_directory(tmp_path: Path) -> None:
    code = "import sys, metaqnn_trainer.store.opening as it; it.open_store('.'); print('boto3' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path) == b"False\n"
