"""An S3 bucket as a store: AWS, or any server that speaks its protocol and honours conditional writes.

boto3 itself repeats a failed request a few times; a caller that needs to outlast a longer outage uses
`StoreError.cause`. An answer of success must show that it comes from S3, because a login page has a status of success,
too: an object's answer has an ETag, and a listing's names the bucket or says whether it is complete.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import time
from collections.abc import Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError

from metaqnn_trainer.store.base import Entry, Stat, check_key, check_prefix, holds, is_key, is_part
from metaqnn_trainer.store.errors import StoreError
from metaqnn_trainer.store.s3_client import (
    ClientOptions,
    default_client,
    is_aws,
    keeps_checksums,
    make_client,
    style_of,
)
from metaqnn_trainer.store.s3_errors import Where, not_s3, renamed
from metaqnn_trainer.store.s3_foreign import refuse_foreign_answers

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONFLICT_PAUSES: Final = (0.1, 0.2, 0.4, 0.8)  # seconds
_DOWNLOADS: Final = 3  # reads of an object whose transfer breaks off
_SHA256: Final = re.compile(r"[A-Za-z0-9+/]{43}=")  # characters of a sha256 in base64
_PAGE: Final = 1000  # keys per page; stores return no more


class S3Store:
    """A store under s3://bucket/prefix. It is safe to use from many threads."""

    def __init__(self, bucket: str, prefix: str = "", client: S3Client | None = None, page: int = _PAGE) -> None:
        """`client` replaces the one from boto3's chain; `page` is the number of keys to ask for at a time.

        Raises:
            StoreError: the configuration that boto3 finds cannot be used.
            AddressError: METAQNN_S3_ADDRESSING_STYLE is no style.
        """
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        where = Where(f"s3://{bucket}/{prefix}".rstrip("/"))
        if client is None:
            with renamed(where, ""):
                client = default_client()
        refuse_foreign_answers(client)
        self._client = client
        self._where = where._replace(endpoint=client.meta.endpoint_url, style=style_of(client))
        self._checksums = keeps_checksums(client)
        self._page = page

    @property
    def uri(self) -> str:
        return self._where.uri

    @property
    def endpoint(self) -> str:
        """URL of a store other than AWS; empty for AWS, whose endpoint follows from the region."""
        return "" if is_aws(self._where.endpoint) else self._where.endpoint

    def by_pages_of(self, page: int) -> S3Store:
        """The same store, with this many keys per page of a listing."""
        return self._with(self._client, page)

    def with_options(self, options: ClientOptions) -> S3Store:
        """The same bucket with another client: it has the same credentials, but these options.

        Raises:
            StoreError: the client cannot be made.
        """
        with renamed(self._where, ""):
            return self._with(make_client(options.resolved()), self._page)

    def _with(self, client: S3Client, page: int) -> S3Store:
        return S3Store(self._bucket, self._root.removesuffix("/"), client, page)

    def seconds_ahead(self) -> float:
        """Seconds by which the store's clock is ahead of this machine's; the store's answers name whole seconds."""
        with renamed(self._where, ""):
            answer = self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)["ResponseMetadata"]
        try:
            return parsedate_to_datetime(answer["HTTPHeaders"]["date"]).timestamp() - time.time()
        except (KeyError, TypeError, ValueError):  # a store that does not say its time
            return 0.0

    def put(self, key: str, data: bytes) -> None:
        with renamed(self._where, check_key(key)):
            self._put(key, data, **self._checksum(data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write only if absent, as the protocol says. When the reply to a write is lost, boto3 repeats the request, and
        the store answers that the object exists: it may be this call's own. Only after such a repetition is the
        content compared, and equal bytes count as this call's. Writers that must be told apart put their name into
        the content.
        """
        check_key(key)
        checksum = self._checksum(data)
        pauses = iter(_CONFLICT_PAUSES)
        repeated = False
        while True:
            with renamed(self._where, key):
                try:
                    self._put(key, data, IfNoneMatch="*", **checksum)
                    return True
                except ClientError as error:
                    answer = error.response["ResponseMetadata"]
                    repeated = repeated or answer.get("RetryAttempts", 0) > 0
                    if answer["HTTPStatusCode"] == 412:
                        return repeated and holds(self, key, data)
                    # 409: another conditional write of this key is under way, and may yet fail.
                    pause = next(pauses, None) if answer["HTTPStatusCode"] == 409 else None
                    if pause is None:
                        raise
            time.sleep(pause)

    def get(self, key: str, first: int | None = None) -> bytes:
        ask = partial(self._client.get_object, Bucket=self._bucket, Key=self._root + check_key(key))
        if first is not None:  # a range has at least one byte; further bytes are not read
            ask = partial(ask, Range=f"bytes=0-{max(first, 1) - 1}")
        with renamed(self._where, key):
            # boto3 repeats a failed request, but not the reading of an answer that breaks off.
            for left in reversed(range(_DOWNLOADS)):
                try:
                    reply = ask()
                except ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # an empty object has no range
                        return b""
                    raise
                # (As a context manager the body is urllib3's, with urllib3's errors.)
                with closing(reply["Body"]) as body:
                    if "ETag" not in reply:
                        raise not_s3(self._where, key)
                    try:
                        # The answer is read to its end, because only then is its length compared; but not where a
                        # server ignores ranges.
                        whole = first is None or reply.get("ContentLength", math.inf) <= first
                        return body.read(None if whole else first)
                    except (HTTPClientError, IncompleteReadError, FlexibleChecksumError):
                        if not left:
                            raise
        raise AssertionError("unreachable")

    def stat(self, key: str) -> Stat:
        check_key(key)
        options: dict[str, Any] = {"ChecksumMode": "ENABLED"} if self._checksums else {}
        with renamed(self._where, key):
            found = self._client.head_object(Bucket=self._bucket, Key=self._root + key, **options)
        if "ETag" not in found or "ContentLength" not in found:
            raise not_s3(self._where, key)
        # A checksum of parts is written as CHECKSUM-PARTS, and is not the object's.
        encoded = found.get("ChecksumSHA256", "")
        return Stat(found["ContentLength"], base64.b64decode(encoded).hex() if _SHA256.fullmatch(encoded) else None)

    def list(self, prefix: str) -> Iterator[Entry]:
        check_prefix(prefix)
        # Not every store lists in the order of the key's bytes: SeaweedFS walks its directories.
        found = (found for page in self._pages(prefix) for found in page.get("Contents", ()))
        keys = ((found["Key"].removeprefix(self._root), found["Size"]) for found in found)
        return iter(sorted(Entry(key, size) for key, size in keys if is_key(key)))

    def names(self, prefix: str) -> tuple[str, ...]:
        check_prefix(prefix)
        before = len(self._root) + prefix.rfind("/") + 1
        found = [
            text[before:].removesuffix("/")
            for page in self._pages(prefix, Delimiter="/")
            for text in (
                *(found["Key"] for found in page.get("Contents", ())),
                *(found["Prefix"] for found in page.get("CommonPrefixes", ())),
            )
        ]
        return tuple(sorted({name for name in found if is_part(name)}))

    def delete(self, key: str) -> None:
        with renamed(self._where, check_key(key)):
            self._client.delete_object(Bucket=self._bucket, Key=self._root + key)

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        """The answers to a listing, in the store's own order. A bucket may hold objects of other programs."""
        place = {"Bucket": self._bucket, "Prefix": self._root + prefix, "MaxKeys": self._page, **more}
        token: dict[str, str] = {}
        while True:
            with renamed(self._where, prefix):
                page = self._client.list_objects_v2(**place, **token)  # type: ignore[arg-type]
            if "IsTruncated" not in page and "Name" not in page:
                raise not_s3(self._where, prefix)
            yield page
            if not page.get("IsTruncated"):
                return
            following = {"ContinuationToken": page.get("NextContinuationToken", "")}
            if following == token or not following["ContinuationToken"]:
                raise StoreError(
                    f"{self._where.place(prefix)}: {self._where.endpoint} answered HTTP 200 with an incomplete "
                    "listing: it says that more keys follow, but not how to ask for them",
                    "this store cannot list more keys than fit into one answer: use another store, or a newer "
                    "release of it",
                    status=200,
                )
            token = following

    def _put(self, key: str, data: bytes, **options: Any) -> None:
        reply = self._client.put_object(Bucket=self._bucket, Key=self._root + key, Body=data, **options)
        if "ETag" not in reply:
            raise not_s3(self._where, key)

    def _checksum(self, data: bytes) -> dict[str, str]:
        """The checksum that the store compares with the received bytes, and keeps with the object."""
        if not self._checksums:
            return {}
        return {"ChecksumSHA256": base64.b64encode(hashlib.sha256(data).digest()).decode()}
