"""Bytes at a file or S3 address: the trainer's side of the object store, and the only place in it that speaks S3.

A store is opened from its URI: a path, file:///path, or s3://bucket/prefix. Credentials, profiles, endpoints
(AWS_ENDPOINT_URL_S3) and regions of S3 come by boto3's own chain.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from metaqnn_trainer.errors import ExchangeError, ObjectMissing

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CLIENT: Final[dict[str, Any]] = {
    "retries": {"mode": "standard", "total_max_attempts": 5},  # about ten seconds in all
    "connect_timeout": 5,  # seconds
    "read_timeout": 60,  # seconds without a byte
}
_CHECKSUMS: Final[dict[str, Any]] = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_CONFLICT_PAUSES: Final = (0.1, 0.2, 0.4, 0.8)  # seconds
_OUTAGE_PAUSES: Final = (5.0, 10.0, 20.0, 40.0, 60.0)  # seconds, between writes that each took those ten seconds
_DOWNLOADS: Final = 3


class Exchange(Protocol):
    """Bytes by key. A write is complete or absent, and durable when the call returns.

    Every method raises ExchangeError when the store does not answer or refuses.
    """

    @property
    def uri(self) -> str:
        """What opens the same store again."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object.

        Raises:
            ObjectMissing: nothing is there.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write, replacing what was there."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write only if nothing is there; False if something is. Of any number of racing calls exactly one wins."""
        ...

    def exists(self, key: str) -> bool:
        """Whether something is there, as far as the store will tell."""
        ...

    def delete(self, key: str) -> None:
        """Remove; nothing happens if nothing is there."""
        ...


def open_exchange(uri: str) -> Exchange:
    """The store at `uri`. Nothing is read or written yet.

    Raises:
        ExchangeError: not an address that is understood, or boto3 cannot be configured.
    """
    if not _SCHEME.match(uri):
        if not uri:
            raise ExchangeError("the store's address is empty: give a path, file:///path or s3://bucket/prefix")
        return DirectoryExchange(Path(uri))
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return DirectoryExchange(Path(unquote(parts.path)))
    if parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc):
        return S3Exchange(parts.netloc, parts.path.strip("/"))
    # The rest of a wrong address may hold a password.
    raise ExchangeError(
        f"a store at {parts.scheme}://… is not understood: give a path, file:///path or s3://bucket/prefix"
    )


class DirectoryExchange:
    """Files below `root`, which the first write creates.

    A file is written under a name that begins with a dot, as no key's part does, and gets its own name when it is
    whole and on the disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def uri(self) -> str:
        return str(self._root)

    def get(self, key: str) -> bytes:
        with self._renamed(key):
            return (self._root / key).read_bytes()

    def put(self, key: str, data: bytes) -> None:
        with self._renamed(key), _aside(self._root / key, data) as aside:
            aside.replace(self._root / key)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._renamed(key), _aside(self._root / key, data) as aside:
            try:
                (self._root / key).hardlink_to(aside)
            except FileExistsError:
                return False
            return True

    def exists(self, key: str) -> bool:
        with self._renamed(key):
            return (self._root / key).is_file()

    def delete(self, key: str) -> None:
        with self._renamed(key):
            (self._root / key).unlink(missing_ok=True)

    @contextmanager
    def _renamed(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"{self._root / key}: no such object") from error
        except OSError as error:
            raise ExchangeError(f"{self._root / key}: {error.strerror or error}") from error


@contextmanager
def _aside(path: Path, data: bytes) -> Iterator[Path]:
    """A new file beside `path` that holds `data`, on the disk; gone afterwards, and the directory's names durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        aside.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        # Some file systems that come over a network know no fsync of a directory.
        with suppress(OSError):
            os.fsync(directory)
    finally:
        os.close(directory)


class S3Exchange:
    """Objects under s3://bucket/prefix: AWS, or anything that speaks its protocol and honours conditional writes."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        with self._renamed(""):
            self._client = _client()

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._root}".rstrip("/")

    def get(self, key: str) -> bytes:
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        with self._renamed(key):
            # boto3 repeats a request that fails, but not the reading of an answer that breaks off.
            for left in reversed(range(_DOWNLOADS)):
                try:
                    return self._client.get_object(Bucket=self._bucket, Key=self._root + key)["Body"].read()
                except (HTTPClientError, IncompleteReadError):
                    if not left:
                        raise
        raise AssertionError("unreachable")

    def put(self, key: str, data: bytes) -> None:
        with self._renamed(key):
            self._write(key, data, self._client.put_object)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """As the protocol says. When the answer to our write is lost, the request is repeated and finds our own object
        there: after a repetition, and only then, equal bytes count as ours."""
        with self._renamed(key):
            return self._write(key, data, partial(self._client.put_object, IfNoneMatch="*"))

    def _write(self, key: str, data: bytes, put_object: Callable[..., object]) -> bool:
        """False where the call's condition does not hold. Waits for a store that is away, which boto3 could only do for
        all calls alike: hours of training may be in `data`."""
        from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

        conflicts, outages = iter(_CONFLICT_PAUSES), iter(_OUTAGE_PAUSES)
        repeated = False
        while True:
            try:
                put_object(Bucket=self._bucket, Key=self._root + key, Body=data)
                return True
            except (ClientError, ConnectionError, HTTPClientError) as error:
                answer: Any = error.response["ResponseMetadata"] if isinstance(error, ClientError) else {}
                status = answer.get("HTTPStatusCode", 503)  # no answer is one that says: not now
                repeated = repeated or answer.get("RetryAttempts", 0) > 0
                if status == 412:
                    return repeated and self.get(key) == data
                pause = None
                if status == 409:  # another conditional write of this key is under way, and may yet fail
                    pause = next(conflicts, None)
                elif status == 429 or status >= 500:  # it may have been done all the same
                    pause, repeated = next(outages, None), True
                if pause is None:
                    raise
            time.sleep(pause)

    def exists(self, key: str) -> bool:
        """Whether something is there. False also where the store will not tell: whoever may not list a bucket is
        answered 403 about a missing object, and a trainer needs no right to list."""
        from botocore.exceptions import ClientError

        with self._renamed(key):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._root + key)
                return True
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
                    return False
                raise

    def delete(self, key: str) -> None:
        with self._renamed(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._root + key)

    @contextmanager
    def _renamed(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"s3://{self._bucket}/{self._root}{key}"
        try:
            yield
        except ClientError as error:
            code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
            if code == "NoSuchKey":
                raise ObjectMissing(f"{place}: no such object") from error
            raise ExchangeError(f"{place}: {code}: {message}") from error
        except BotoCoreError as error:
            raise ExchangeError(f"{place}: {error}") from error


def _client() -> S3Client:
    # boto3 takes a third of a second to import, and a store in a directory does not need it.
    import boto3.session
    from botocore.config import Config

    session = boto3.session.Session()
    region = session.region_name or "us-east-1"  # what clones of S3 call themselves
    client = session.client("s3", region_name=region, config=Config(**_CLIENT))
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS_DOMAINS):
        return client
    # Clones commonly know neither checksums in trailers nor a name in DNS for each bucket.
    client.close()
    config = Config(**_CLIENT, **_CHECKSUMS, s3={"addressing_style": "path"})
    return session.client("s3", region_name=region, config=config)
