"""The stores that the behaviour suite runs against. A test of one store's own lies in that store's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.s3 import S3Store
from metaqnn_trainer.store.s3_client import default_client
from tests.seaweedfs import S3Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def s3_client(s3_server: S3Server) -> Iterator[S3Client]:
    """One client for all, as a program has: making one takes a quarter of a second."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment().items():
            patch.setenv(name, value)
        client = default_client()
    yield client
    client.close()


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    bucket, _, prefix = request.getfixturevalue("s3_store_uri").removeprefix("s3://").partition("/")
    return S3Store(bucket, prefix, request.getfixturevalue("s3_client"))
