"""An S3 bucket as a store: AWS, or anything that speaks its protocol and honours conditional writes.

Credentials, profiles, endpoints (AWS_ENDPOINT_URL_S3) and regions come by boto3's own chain. boto3 itself repeats a
failed request a few times; whoever needs to outlast a longer outage looks at `StoreError.transient`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3.session
from botocore.config import Config
from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError

from metaqnn_trainer.store.base import Entry, Stat, check_key, check_prefix, is_key
from metaqnn_trainer.store.errors import ObjectMissing
from metaqnn_trainer.store.s3_errors import renamed

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_COMMON: Final[Mapping[str, Any]] = {
    "retries": {"mode": "standard", "total_max_attempts": 5},  # about ten seconds in all
    "connect_timeout": 5,  # seconds
    "read_timeout": 60,  # seconds without a byte
    "max_pool_connections": 32,  # kept open; further threads open and close their own
    "tcp_keepalive": True,
}
# What stores other than AWS commonly lack: checksums in trailers.
_CLONE: Final[Mapping[str, Any]] = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_CONFLICT_PAUSES: Final = (0.1, 0.2, 0.4, 0.8)  # seconds
_DOWNLOADS: Final = 3  # of an object whose bytes break off


def default_client() -> S3Client:
    """The client that boto3's own chain gives: environment, ~/.aws, the machine's or the pod's role.

    Raises:
        BotoCoreError, ValueError: what the chain finds contradicts itself.
    """
    session = boto3.session.Session()
    region = session.region_name or "us-east-1"  # what clones of S3 call themselves
    client = session.client("s3", region_name=region, config=Config(**_COMMON))
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS_DOMAINS):
        return client
    # Stores other than AWS seldom have a name in DNS for each bucket; whoever's has says so in the AWS configuration.
    # (The type stubs do not know that a Config carries its options as attributes.)
    style = (getattr(client.meta.config, "s3", None) or {}).get("addressing_style", "path")
    client.close()
    config = Config(**_COMMON, **_CLONE, s3={"addressing_style": style})
    return session.client("s3", region_name=region, config=config)


class S3Store:
    """A store under s3://bucket/prefix. Safe to use from many threads."""

    def __init__(self, bucket: str, prefix: str = "", client: S3Client | None = None) -> None:
        """`client` replaces the one that boto3's chain would give.

        Raises:
            StoreError: the configuration that boto3 finds cannot be used.
        """
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._uri = f"s3://{bucket}/{prefix}".rstrip("/")
        if client is None:
            with renamed(self._uri, ""):
                client = default_client()
        self._client = client

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def endpoint(self) -> str:
        """URL of a store other than AWS; empty for AWS, which is found by the region."""
        url = self._client.meta.endpoint_url
        return "" if (urlsplit(url).hostname or "").endswith(_AWS_DOMAINS) else url

    def seconds_ahead(self) -> float:
        """By how much the store's clock is ahead of ours; its answers name whole seconds."""
        with renamed(self._uri, ""):
            answer = self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)["ResponseMetadata"]
        try:
            return parsedate_to_datetime(answer["HTTPHeaders"]["date"]).timestamp() - time.time()
        except (KeyError, TypeError, ValueError):  # a store that does not say
            return 0.0

    def put(self, key: str, data: bytes) -> None:
        with renamed(self._uri, check_key(key)):
            self._client.put_object(Bucket=self._bucket, Key=self._root + key, Body=data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """As the protocol says. When the reply to our write is lost, boto3 asks again, and the store answers that
        something is there: our own object. Only after such a repetition is the content compared, and equal bytes count
        as ours. Writers that must tell themselves apart put their name into what they write."""
        check_key(key)
        pauses = iter(_CONFLICT_PAUSES)
        repeated = False
        while True:
            with renamed(self._uri, key):
                try:
                    self._client.put_object(Bucket=self._bucket, Key=self._root + key, Body=data, IfNoneMatch="*")
                    return True
                except ClientError as error:
                    answer = error.response["ResponseMetadata"]
                    repeated = repeated or answer.get("RetryAttempts", 0) > 0
                    if answer["HTTPStatusCode"] == 412:
                        return repeated and self._holds(key, data)
                    # 409: another conditional write of this key is under way, and may yet fail.
                    pause = next(pauses, None) if answer["HTTPStatusCode"] == 409 else None
                    if pause is None:
                        raise
            time.sleep(pause)

    def get(self, key: str, first: int | None = None) -> bytes:
        ask = partial(self._client.get_object, Bucket=self._bucket, Key=self._root + check_key(key))
        if first is not None:  # a range holds at least one byte; what is too much is cut off below
            ask = partial(ask, Range=f"bytes=0-{max(first, 1) - 1}")
        with renamed(self._uri, key):
            # boto3 repeats a request that fails, but not the reading of an answer that breaks off.
            for left in reversed(range(_DOWNLOADS)):
                try:
                    reply = ask()
                except ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # an empty object has no range
                        return b""
                    raise
                # (As a context manager the body is urllib3's, with urllib3's errors.)
                with closing(reply["Body"]) as body:
                    try:
                        return body.read()[:first]
                    except (HTTPClientError, IncompleteReadError, FlexibleChecksumError):
                        if not left:
                            raise
        raise AssertionError("unreachable")

    def stat(self, key: str) -> Stat:
        with renamed(self._uri, check_key(key)):
            found = self._client.head_object(Bucket=self._bucket, Key=self._root + key)
            return Stat(found["ContentLength"], None)

    def list(self, prefix: str) -> Iterator[Entry]:
        check_prefix(prefix)
        # Not every store lists in the order of the key's bytes: SeaweedFS walks its directories.
        return iter(sorted(self._pages(prefix)))

    def delete(self, key: str) -> None:
        with renamed(self._uri, check_key(key)):
            self._client.delete_object(Bucket=self._bucket, Key=self._root + key)

    def _pages(self, prefix: str) -> Iterator[Entry]:
        with renamed(self._uri, prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._root + prefix):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._root)
                    if is_key(key):  # a bucket may hold what is not ours
                        yield Entry(key, found["Size"])

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self.get(key) == data
        except ObjectMissing:
            return False
