"""What a store answers, or that it does not, in words: the cause, a line of evidence, and a hint for the case."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from botocore.awsrequest import AWSRequest

from metaqnn_trainer.store.base import exists, honours_put_if_absent
from metaqnn_trainer.store.errors import Cause, ObjectMissing, StoreError
from metaqnn_trainer.store.patient import PatientStore
from metaqnn_trainer.store.s3 import S3Store
from tests.authority import make_authority
from tests.seaweedfs import S3Server, free_ports
from tests.store.behind import VERBS, client_of, each_verb, stat, store_behind
from tests.store.faulty_server import Answer, Reaction, always, error, faulty_server, page


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


@pytest.mark.parametrize("call", [call for call in VERBS if call is not stat])  # whose answer says only: not found
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


HTML: Final = b"<html>\r\n<head><title>%d</title></head>\r\n<body>\r\n<hr><center>nginx</center>\r\n</body></html>"


def ingress(status: int) -> Answer:
    """What nginx answers by itself: a page, and no XML."""
    return Answer(status, HTML % status, {"Content-Type": "text/html"})


def silent(status: int, **headers: str) -> Answer:
    return Answer(status, b"", headers)


AHEAD: Final = {"Date": format_datetime(datetime.now(UTC) - timedelta(hours=1))}

REFUSALS: list[tuple[Answer, str, str]] = [
    (error(403, "AccessDenied", "Access Denied"), "HTTP 403 AccessDenied: Access Denied", "s3:ListBucket"),
    (error(403, "SomethingElse"), "HTTP 403 SomethingElse", "s3:ListBucket"),
    (silent(403), "HTTP 403: Forbidden", "s3:ListBucket"),
    (error(400, "ExpiredToken"), "ExpiredToken", "renew"),
    (error(400, "TokenRefreshRequired"), "TokenRefreshRequired", "renew"),
    (error(403, "RequestTimeTooSkewed"), "RequestTimeTooSkewed", "clock is wrong"),
    (error(403, "RequestTimeTooSkewed")._replace(headers=AHEAD), "RequestTimeTooSkewed", "ahead of the store's"),
    (error(400, "AuthorizationHeaderMalformed"), "AuthorizationHeaderMalformed", "AWS_REGION"),
    (error(501, "NotImplemented"), "HTTP 501 NotImplemented", "If-None-Match"),
    (ingress(413), "HTTP 413: Request Entity Too Large", "proxy-body-size"),
    (silent(413), "HTTP 413: Request Entity Too Large", "proxy-body-size"),
    (error(400, "EntityTooLarge"), "EntityTooLarge", "proxy-body-size"),
    (error(403, "QuotaExceeded"), "HTTP 403 QuotaExceeded", "quota"),
    (error(400, "XMinioAdminBucketQuotaExceeded"), "XMinioAdminBucketQuotaExceeded", "quota"),
    (error(500, "QuotaExceeded"), "HTTP 500 QuotaExceeded", "quota"),
    (error(400, "KeyTooLongError"), "KeyTooLongError", ""),
    (error(400, "InvalidRequest", "no such thing here"), "InvalidRequest: no such thing here", ""),
    (error(400, "InvalidArgument"), "InvalidArgument", ""),
    (error(404, "NoSuchUpload"), "NoSuchUpload", "is not an S3 store"),
    (silent(404), "HTTP 404: Not Found", "is not an S3 store"),
    (ingress(404), "HTTP 404: Not Found", "is not an S3 store"),
    (error(405, "MethodNotAllowed"), "MethodNotAllowed", "is not an S3 store"),
    (ingress(401), "HTTP 401: Unauthorized", "is not an S3 store"),
    (ingress(403), "HTTP 403: Forbidden", "is not an S3 store"),
    (silent(400), "HTTP 400: Bad Request", "only supports TLS"),
    (silent(407), "HTTP 407: Proxy Authentication Required", "the proxy wants credentials"),
    (error(403, "SecondLevelDomainForbidden"), "SecondLevelDomainForbidden", "METAQNN_S3_ADDRESSING_STYLE=virtual"),
    (error(400, "XAmzContentSHA256Mismatch"), "XAmzContentSHA256Mismatch", "AWS_REQUEST_CHECKSUM_CALCULATION"),
    (silent(301), "HTTP 301: Moved Permanently", "AWS_REGION"),
    (silent(307), "HTTP 307: Temporary Redirect", "AWS_REGION"),
    (silent(301, Location="https://s3.example/x"), "HTTP 301", "AWS_ENDPOINT_URL_S3=https://s3.example"),
    (page(302, Location="http://login.example/?next=/"), "HTTP 302: Found", "login.example"),
    (silent(308, Location="https://s3.example:9000/x"), "HTTP 308", "AWS_ENDPOINT_URL_S3=https://s3.example:9000"),
    (error(400, "Odd", "a\u202ered\nline " + "x" * 5000), "HTTP 400 Odd: a red line xxx", ""),
    (error(400, "Odd", "see http://me:secret@host/"), "see http://***@host/", ""),
]
FULL: list[tuple[Answer, str, str]] = [
    (error(507, "XMinioStorageFull"), "HTTP 507 XMinioStorageFull", "free some space"),
    (silent(507), "HTTP 507: Insufficient Storage", "free some space"),
    (error(500, "InternalError", "no free volumes left for collection"), "no free volumes", "free some space"),
    (error(500, "InternalError", "write /data/1.dat: no space left on device"), "no space left", "free some space"),
    (error(503, "StorageFull"), "HTTP 503 StorageFull", "free some space"),
]
OUTAGES: list[tuple[Answer, str, str]] = [
    (error(500, "InternalError"), "HTTP 500 InternalError", "cannot answer now"),
    (error(503, "SlowDown"), "HTTP 503 SlowDown", "cannot answer now"),
    (error(429, "TooManyRequests"), "HTTP 429 TooManyRequests", "cannot answer now"),
    (silent(408), "HTTP 408", ""),
    (error(400, "RequestTimeout"), "RequestTimeout", ""),
    (error(400, "BadDigest"), "BadDigest", ""),
    (error(400, "IncompleteBody"), "IncompleteBody", ""),
    (ingress(502), "HTTP 502: Bad Gateway", "cannot answer now"),
    (ingress(503), "HTTP 503: Service Unavailable", "cannot answer now"),
    (silent(504), "HTTP 504: Gateway Timeout", "cannot answer now"),
]
ANSWERS = [(*row, Cause.REFUSED) for row in REFUSALS] + [(*row, Cause.FULL) for row in FULL]
ANSWERS += [(*row, Cause.OUTAGE) for row in OUTAGES]


@pytest.mark.parametrize(("answer", "words", "hint", "cause"), ANSWERS, ids=[row[1] for row in ANSWERS])
def test_what_the_store_answers_becomes_a_cause_a_line_and_a_hint(
    answer: Answer, words: str, hint: str, cause: Cause
) -> None:
    calls: list[Callable[[S3Store], object]] = [
        lambda store: store.put_if_absent("a/b", b"1"),
        lambda store: store.get("a/b"),
    ]
    for call in calls:
        with store_behind(always(answer)) as (store, _), pytest.raises(StoreError) as caught:
            call(store)
        line = str(caught.value)
        assert line.startswith(f"{store.uri}/a/b: http://127.0.0.1:")
        assert words in line
        assert line.isprintable()
        assert len(line) < 450
        assert hint in caught.value.hint
        assert bool(hint) == bool(caught.value.hint)
        assert (caught.value.cause, caught.value.status) == (cause, answer.status)
        assert caught.value.transient is (cause is Cause.OUTAGE)


@pytest.mark.parametrize(("answer", "words", "hint", "cause"), ANSWERS, ids=[row[1] for row in ANSWERS])
def test_a_patient_write_waits_for_what_may_change(answer: Answer, words: str, hint: str, cause: Cause) -> None:
    asked_for, told = list[int](), list[str]()
    for write in (PatientStore.put, PatientStore.put_if_absent):
        with store_behind(always(answer)) as (store, asked), pytest.raises(StoreError, match=str(answer.status)):
            write(PatientStore(store, (0.0, 0.0), told.append), "a", b"1")
        asked_for.append(asked.count("PUT"))
    rotated = any(code in words for code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"))
    assert asked_for == ([1, 1] if cause is Cause.REFUSED and not rotated else [3, 3])
    assert len(told) == sum(asked_for) - 2
    assert all(words in line and line.endswith("; trying again in 0 s") for line in told)


def test_where_the_bucket_lies_is_told() -> None:
    elsewhere = silent(301, **{"x-amz-bucket-region": "eu-west-1"})
    with store_behind(always(elsewhere)) as (store, _), pytest.raises(StoreError) as caught:
        store.get("a")
    assert "AWS_REGION=eu-west-1" in caught.value.hint


# Success that is none of S3's


XHTML: Final = page(200)
CONSOLE: Final = Answer(200, b"<!doctype html><p>Welcome<br>", {"Content-Type": "text/html"})


@each_verb
@pytest.mark.parametrize("answer", [XHTML, CONSOLE, silent(200)], ids=["well-formed", "not well-formed", "empty"])
def test_a_page_is_no_object_and_no_empty_listing(call: Callable[[S3Store], object], answer: Answer) -> None:
    """Deleting succeeds without a word; only a page gives itself away."""
    if answer.body or call is not VERBS[-1]:
        with (
            store_behind(always(answer)) as (store, _),
            pytest.raises(StoreError, match="HTTP 200, but not with") as caught,
        ):
            call(store)
        assert not isinstance(caught.value, ObjectMissing)
        assert caught.value.cause is Cause.REFUSED
        assert "is not an S3 store" in caught.value.hint


def test_a_page_about_what_is_missing_is_no_absence() -> None:
    with store_behind(always(ingress(404))) as (store, _):
        for call in (store.get, store.stat, partial(exists, store)):
            with pytest.raises(StoreError, match="HTTP 404") as caught:
                call("a")
            assert not isinstance(caught.value, ObjectMissing)


# Listings that are not whole


def listing(*keys: str, truncated: bool, token: str = "") -> Answer:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{following}{contents}"
    return Answer(200, f"<ListBucketResult>{body}</ListBucketResult>".encode())


@pytest.mark.parametrize("token", ["", "the same"])
def test_a_listing_that_does_not_say_how_it_goes_on_is_an_error(token: str) -> None:
    with store_behind(always(listing("a", truncated=True, token=token))) as (store, _):
        with pytest.raises(StoreError, match="HTTP 200 with an incomplete listing") as caught:
            list(store.list(""))
        assert caught.value.hint


def test_a_listing_whose_bytes_are_cut_off_may_come_whole_the_next_time() -> None:
    whole = listing("a", "b", truncated=False)
    with store_behind(always(whole._replace(body=whole.body[:-30]))) as (store, _):
        with pytest.raises(StoreError, match="cut off") as caught:
            list(store.list(""))
        assert caught.value.transient


# The way there


@pytest.mark.parametrize("bundle", ["", "right", "missing", "wrong"])
def test_certificates(bundle: str, tmp_path: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path)
    files = {"right": authority.certificate, "missing": tmp_path / "none.crt", "wrong": tmp_path / "wrong.crt"}
    (tmp_path / "wrong.crt").write_text("no certificate")
    if bundle:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(files[bundle]))
    with faulty_server(always(listing("runs/a", truncated=False)), tls=authority.server("127.0.0.1")) as (url, _):
        client = client_of(url)
        store = S3Store("bucket", "", client)
        if bundle == "right":
            assert [entry.key for entry in store.list("")] == ["runs/a"]
        else:
            with pytest.raises(StoreError, match=url) as caught:
                list(store.list(""))
            assert caught.value.cause is Cause.REFUSED
            assert "AWS_CA_BUNDLE" in caught.value.hint
            assert ("store.caBundle" in caught.value.hint) == (not bundle)
        client.close()


@pytest.mark.parametrize(
    ("address", "expired", "hint"), [("127.0.0.1", True, "has expired"), ("127.0.0.2", False, "is for another name")]
)
def test_a_certificate_that_does_not_fit(
    address: str, expired: bool, hint: str, tmp_path: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    with faulty_server(always(listing(truncated=False)), tls=authority.server(address, expired=expired)) as (url, _):
        client = client_of(url)
        with pytest.raises(StoreError, match=url) as caught:
            list(S3Store("bucket", "", client).list(""))
        assert caught.value.cause is Cause.REFUSED
        assert hint in caught.value.hint
        client.close()


def test_plain_http_where_tls_is_spoken_and_the_other_way_round(tmp_path: Path) -> None:
    with faulty_server(always(silent(200)), tls=make_authority(tmp_path).server("127.0.0.1")) as (url, _):
        client = client_of(url.replace("https", "http"))
        with pytest.raises(StoreError) as caught:
            S3Store("bucket", "", client).get("a")
        assert "https://" in caught.value.hint
        client.close()
    with faulty_server(always(silent(200))) as (url, _):
        client = client_of(url.replace("http", "https"))
        with pytest.raises(StoreError) as caught:
            S3Store("bucket", "", client).get("a")
        assert caught.value.cause is Cause.REFUSED
        assert "http://" in caught.value.hint
        client.close()


def test_a_bucket_that_has_no_name_in_dns() -> None:
    client = client_of("http://store.invalid:9000", style="virtual")
    with pytest.raises(StoreError, match=r"bucket\.store\.invalid") as caught:
        S3Store("bucket", "", client).get("a")
    assert "METAQNN_S3_ADDRESSING_STYLE=path" in caught.value.hint
    client.close()


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (page(503), ""),
        (page(403), "through the proxy 127.0.0.1"),
        (page(200), "through the proxy 127.0.0.1"),
        (silent(407), "HTTP_PROXY"),
    ],
)
def test_a_proxy_in_between(answer: Answer, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_server(always(answer)) as (proxy, _):
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("//", "//me:secret@"))
        client = client_of("http://store.example")
        with pytest.raises(StoreError, match=f"http://store.example answered HTTP {answer.status}") as caught:
            S3Store("bucket", "", client).get("a")
        assert hint in caught.value.hint
        assert "secret" not in str(caught.value) + caught.value.hint
        client.close()
    client = client_of("http://store.example")
    with pytest.raises(StoreError, match="proxy") as caught:
        S3Store("bucket", "", client).get("a")
    assert "NO_PROXY" in caught.value.hint
    assert caught.value.transient
    assert "secret" not in str(caught.value) + caught.value.hint
    client.close()


# Conditions


def test_a_store_that_ignores_conditions_is_found_out(s3_server: S3Server) -> None:
    client = client_of(s3_server.endpoint, *s3_server[1:3])

    def forget_the_condition(request: AWSRequest, **_: object) -> None:
        del request.headers["If-None-Match"]

    client.meta.events.register("before-sign.s3.PutObject", forget_the_condition)
    store = S3Store(s3_server.bucket, "forgetful", client)
    assert not honours_put_if_absent(store, "runs/")
    assert list(store.list("")) == []
    client.close()


def test_an_endpoint_that_names_the_bucket(s3_server: S3Server) -> None:
    client = client_of(f"{s3_server.endpoint}/{s3_server.bucket}", *s3_server[1:3])
    with pytest.raises(StoreError, match="answered HTTP 404 NoSuchKey") as caught:
        list(S3Store(s3_server.bucket, "runs", client).list(""))
    assert not isinstance(caught.value, ObjectMissing), "a listing is no object"
    assert "must not contain a bucket or a folder" in caught.value.hint
    client.close()


@each_verb
def test_a_key_that_cannot_be_sent(call: Callable[[S3Store], object], s3_server: S3Server) -> None:
    client = client_of(s3_server.endpoint, s3_server.access_key + "\n", SECRET)
    with pytest.raises(StoreError, match="Invalid header value") as caught:
        call(S3Store(s3_server.bucket, "runs", client))
    assert not caught.value.transient, "nobody waits for it"
    assert "contains a line break" in caught.value.hint
    client.close()


def test_a_region_that_is_none(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu west/1")
    with pytest.raises(StoreError, match="eu west/1") as caught:
        S3Store("bucket")
    assert "AWS_REGION" in caught.value.hint
