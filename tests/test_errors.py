"""Foreign text that is about to be shown, and how a process ends."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import (
    KNOWN,
    LauncherError,
    ObjectMissing,
    OrchestratorError,
    StoreError,
    exit_code,
    one_line,
    redacted,
)
from metaqnn_trainer import errors as trainer
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.store.errors import AddressError, Cause


@given(st.text() | st.text("\x1b[];0123m\x07\\ab \n"), st.integers(10, 400))
def test_a_line_is_short_printable_and_the_same_when_read_again(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    assert line == line.strip()
    assert one_line(line, limit) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("  a \t b\r\n\n c ", "a b c"),
        ("\x1b[1;31mred\x1b[0m \x1b]0;a title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "red textlink"),
        ("nul\0 del\x7f c1\x9b bidi\u202e", "nul del c1 bidi"),
        ("GET https://me:pass@word@host/path failed", "GET https://***@host/path failed"),
        ("žluťoučký κόσμε 世界", "žluťoučký κόσμε 世界"),
    ],
)
def test_what_is_left_out(text: str, line: str) -> None:
    assert one_line(text) == line


SECRETS = {
    "password of a URL": "GET https://me:hunter-2/x@host/path failed",
    "user of a URL": "GET https://hunter-2@host/path failed",
    "password of a proxy": "proxy http://me:hunter-2@proxy:3128 refused",
    "header": "Authorization: Bearer hunter-2",
    "header of Basic": "authorization='Basic hunter-2='",
    "header of a proxy": "Proxy-Authorization: Basic hunter-2",
    "headers as Python has them": "{'Authorization': 'Bearer hunter-2', 'Accept': 'x'}",
    "bytes as Python has them": "Invalid header value b'Bearer hunter-2\\n'",
    "bearer": "the API refused bearer hunter-2",
    "basic": "sent Basic aHVudGVyLTI6aHVudGVyLTI= there",
    "JSON web token": "token eyJhbGciOiJSUzI1NiJ9.eyJodW50ZXItMiI6MX0.hunter-2 is expired",
    "login helper": '{"kind": "ExecCredential", "status": {"token": "hunter-2"}}',
    "AWS key id": "AKIAHUNTER2HUNTER2AB does not exist",
    "AWS secret": "aws_secret_access_key = hunter-2",
    "AWS variable": "AWS_SECRET_ACCESS_KEY: hunter-2",
    "signed URL": "GET https://s3/x?X-Amz-Credential=hunter-2&X-Amz-Signature=hunter-2&a=1",
    "session token": "X-Amz-Security-Token=hunter-2",
    "form": "client_id=a&client_secret=hunter-2&refresh_token=hunter-2",
    "password": "password: hunter",
    "api key": 'api-key="hunter-2"',
    "private key": "-----BEGIN PRIVATE KEY-----\nhunter-2\n-----END PRIVATE KEY-----",
    "half a private key": "-----BEGIN EC PRIVATE KEY-----\nhunter-2",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_shown(text: str) -> None:
    for shown in (one_line(text), redacted(text)):
        assert "***" in shown
        assert not re.search("hunter|aHVudGVyLTI6|HUNTER", shown)
        assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        'secrets "keys" is forbidden: User "x" cannot get resource "secrets"',
        "couldn't find key AWS_SECRET_ACCESS_KEY in Secret trials/keys",
        'MountVolume.SetUp failed for volume "kube-api-access-token" : configmap "a" not found',
        "failed to fetch token: Post failed",
        "The provided continue token: too old",
        "Basic authentication is required",
        "execution.kubernetes.store_secret=keys",
        "http://host:8080/path@x and https://host/a@b",
        "the bearer of this",
    ],
)
def test_what_only_speaks_of_secrets_is_shown(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize(
    "text", ["a", "password", "//a:", "eyJaaaaaa-", "token.", "secret: ", "Basic a", "-----BEGIN "]
)
def test_a_megabyte_takes_no_time(text: str) -> None:
    began = time.monotonic()
    one_line(text * (1_000_000 // len(text)))
    assert time.monotonic() - began < 10.0


def test_the_middle_of_a_long_line_is_left_out() -> None:
    assert one_line("a" * 50 + "b" * 50, 13) == "aaaaa...bbbbb"
    assert one_line("a" * 13, 13) == "a" * 13


def test_every_error_that_has_a_line_has_an_exit_code() -> None:
    assert (LauncherError("a", "b").hint, str(LauncherError("a", "b"))) == ("b", "a")
    known = [OrchestratorError("a"), StoreError("a"), ObjectMissing("a"), LauncherError("a")]
    known += [AddressError("a"), MessageError("a")]
    assert all(isinstance(error, KNOWN) for error in known)
    assert [exit_code(error) for error in known] == [1, 5, 5, 6, 2, 2]


def test_the_trainer_says_whether_to_ask_again() -> None:
    ends = {cause: trainer.exit_code(StoreError("a", cause=cause)) for cause in Cause}
    assert ends == {Cause.OUTAGE: ExitCode.STORE, Cause.FULL: 17, Cause.REFUSED: ExitCode.STORE_REFUSED}
    assert trainer.exit_code(AddressError("a")) == ExitCode.BAD_REQUEST
    assert trainer.exit_code(trainer.DatasetError("a")) == ExitCode.DATASET


def test_only_an_outage_passes_by_itself() -> None:
    assert [cause for cause in Cause if StoreError("a", cause=cause).transient] == [Cause.OUTAGE]
    assert not StoreError("a", "hint").transient
    assert not ObjectMissing("a").transient
