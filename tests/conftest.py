"""Fixtures for every room: a real S3 server, one for all processes of pytest, started when a test first asks for it."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests import forked
from tests.seaweedfs import S3Server, running

# How fast a machine is at the moment is no property of what is tested.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("untimed")

# Tests write and rename a hundred thousand small files, each of which a disk would be waited for.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 6e9:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# Tests run side by side, so each training has one thread.
os.environ["OMP_NUM_THREADS"] = "1"

_numbers = count(1)

# The trainers that the orchestrator starts from a test's own process are forked.
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "executable", forked.PYTHON)
    import metaqnn_orch.application.trainer_call
    import metaqnn_orch.launchers.local  # noqa: F401


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays to the end. The garbage collector would look through these two million
    objects again and again: a third of the time of collecting, and a part of every test.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(200_000, 20, 100)  # looking for cycles more often takes a fifteenth of the time of all tests
        gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or libraries complain of what is left when the process ends


@pytest.fixture(autouse=True, scope="session")
def _state_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What searches keep on this machine of what they have said is kept in a place of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state", numbered=True)))
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one in a directory, for tests of what is kept in a store; nothing of it is flushed to the disk."""
    return DirectoryStore(tmp_path / "store", durable=False)


@pytest.fixture(scope="session")
def forked_trainer() -> list[str]:
    """The command of a trainer that starts at once."""
    pytest.importorskip("torch")
    return [*forked.TRAINER]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server itself. Nothing in the environment points to it yet."""
    base = tmp_path_factory.getbasetemp()
    with running((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "s3") as server:
        yield server


@pytest.fixture
def s3_endpoint(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its URL. While the test runs boto3 finds it, and its user's key, as it finds any: in the environment."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    return s3_server.endpoint


@pytest.fixture
def s3_store_uri(s3_server: S3Server, s3_endpoint: str) -> str:
    """s3://bucket/prefix, where nothing is yet."""
    return f"s3://{s3_server.bucket}/t{next(_numbers)}"
