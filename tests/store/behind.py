"""Stores whose server does as a script says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import boto3
import pytest
from botocore.config import Config

from metaqnn_trainer.store.s3 import S3Store
from tests.seaweedfs import S3Server
from tests.store.faulty_server import Script, faulty_server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def client_of(
    endpoint: str,
    key: str = "anybody",
    secret: str = "anything",
    patience: float = 20,
    style: Literal["auto", "path", "virtual"] = "path",
    checksums: Literal["when_required", "when_supported"] = "when_required",
) -> S3Client:
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
            s3={"addressing_style": style},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
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


def stat(store: S3Store) -> object:
    return store.stat("a")


VERBS: list[Callable[[S3Store], object]] = [
    lambda store: store.put("a", b"1"),
    lambda store: store.put_if_absent("a", b"1"),
    lambda store: store.get("a"),
    lambda store: store.get("a", first=10),
    stat,
    lambda store: list(store.list("")),
    lambda store: store.delete("a"),
]
each_verb = pytest.mark.parametrize(
    "call", VERBS, ids=["put", "put_if_absent", "get", "get first", "stat", "list", "delete"]
)
