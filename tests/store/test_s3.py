"""What is S3's own on the wire: replies that are lost or cut, outages, checksums, listings.

Everything here goes over a socket: to SeaweedFS, to a server in front of it that loses replies, or to one that answers
with errors that SeaweedFS would not give.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pytest
from botocore.awsrequest import AWSRequest

from metaqnn_orch.errors import StoreError
from metaqnn_trainer.store.base import Stat, exists
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PATIENCE, PatientStore
from metaqnn_trainer.store.s3 import S3Store
from tests.seaweedfs import S3Server
from tests.store.behind import client_of, store_behind
from tests.store.faulty_server import Answer, Reaction, always, error, faulty_server, sequence

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


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


def test_every_call_outlasts_an_outage(s3_server: S3Server) -> None:
    with store_behind(sequence("pass on"), s3_server) as (store, _):
        store.put("a", b"1")
    calls: list[Callable[[PatientStore], object]] = [
        lambda patient: patient.get("a"),
        lambda patient: patient.stat("a"),
        lambda patient: exists(patient, "a"),
        lambda patient: list(patient.list("")),
        lambda patient: patient.delete("a"),
        lambda patient: patient.put("a", b"1"),
    ]
    key = error(403, "InvalidAccessKeyId")
    for call in calls:
        with store_behind(sequence("pass on", AWAY, "hang up", error(500, "InternalError")), s3_server) as (
            store,
            asked,
        ):
            store.put("a", b"1")
            call(PatientStore(store, (0.01, 0.01, 0.01)))
            assert len(asked) == 5
    with store_behind(sequence(key, key), s3_server) as (store, asked):
        PatientStore(store, (0.01, 0.01)).put("a", b"1")
        assert asked == ["PUT"] * 3, "a key is being exchanged"


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
    with store_behind(always(Answer(200, b"0123456789", {"ETag": '"x"'}))) as (store, _):
        assert store.get("a", first=4) == b"0123"
        assert store.get("a", first=0) == b""
        assert store.get("a", first=11) == b"0123456789"


# Keys and listings


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


# Checksums


def test_a_store_that_keeps_checksums_is_asked_for_them(s3_server: S3Server) -> None:
    client = client_of(s3_server.endpoint, *s3_server[1:3], checksums="when_supported")
    store = S3Store(s3_server.bucket, "checksums", client)
    for key, data in {"a": b"", "b": b"hello", "c": bytes(1 << 20)}.items():
        assert store.put_if_absent(key, data)
        assert store.stat(key) == Stat(len(data), hashlib.sha256(data).hexdigest())
        store.put(key, data + b"!")
        assert store.stat(key) == Stat(len(data) + 1, hashlib.sha256(data + b"!").hexdigest())
        assert store.get(key) == data + b"!"
    client.close()


def test_a_checksum_of_another_store_says_nothing(s3_server: S3Server, s3_client: S3Client) -> None:
    store = S3Store(s3_server.bucket, "no-checksums", s3_client)
    store.put("a", b"hello")
    assert store.stat("a") == Stat(5, None)
    for encoded in ("", "no base64", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=-2"):  # the second: of two parts
        headers = {"ETag": '"x"', "Content-Type": "binary/octet-stream", "x-amz-checksum-sha256": encoded}
        with faulty_server(always(Answer(200, b"hello", headers))) as (url, _):
            client = client_of(url, checksums="when_supported")
            assert S3Store("bucket", "", client).stat("a") == Stat(5, None)
            client.close()


def test_what_changed_on_its_way_is_not_stored(s3_server: S3Server) -> None:
    client = client_of(s3_server.endpoint, *s3_server[1:3], checksums="when_supported")

    def damage(request: AWSRequest, **_: object) -> None:
        request.data = b"hellO"
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"

    client.meta.events.register("before-sign.s3.PutObject", damage)
    store = S3Store(s3_server.bucket, "damaged", client)
    with pytest.raises(StoreError, match="BadDigest") as caught:
        store.put("a", b"hello")
    assert caught.value.transient
    assert not exists(store, "a")
    client.close()


# Listings


def test_a_listing_by_small_pages_is_the_same(s3_server: S3Server, s3_client: S3Client, s3_store_uri: str) -> None:
    store = S3Store(s3_server.bucket, s3_store_uri.rpartition("/")[2], s3_client)
    for key in ("a/1", "a/2", "a/b/3", "b/4", "c"):
        store.put(key, b"")
    assert list(store.by_pages_of(1).list("")) == list(store.list(""))
    assert [entry.key for entry in store.by_pages_of(2).list("a/")] == ["a/1", "a/2", "a/b/3"]
