"""The trainer's image as a cluster runs it: somebody without rights, a file system that cannot be written, S3.

Needs an image that `make images` built and a program that runs it:
    export METAQNN_TEST_IMAGE=localhost/metaqnn-trainer:0.1.0 METAQNN_TEST_CONTAINERS="docker run"
    pytest tests/trainer/test_image.py
"""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from metaqnn_trainer import __version__
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest
from metaqnn_trainer.contract.result import ExitCode, TrainingResult
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store
from tests.seaweedfs import S3Server
from tests.trainer.conftest import RUN, spec_of

IMAGE = os.environ.get("METAQNN_TEST_IMAGE", "")
CONTAINERS = shlex.split(os.environ.get("METAQNN_TEST_CONTAINERS", "docker run"))

pytestmark = pytest.mark.skipif(not IMAGE, reason="METAQNN_TEST_IMAGE names no image")


def container(s3: S3Server, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = [option for name, value in s3.environment().items() for option in ("-e", f"{name}={value}")]
    command = [*CONTAINERS, "--rm", "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all"]
    command += ["--security-opt=no-new-privileges", *environment, *options, IMAGE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def ask(store: Store, dataset: DatasetRef) -> str:
    spec = spec_of(dataset)
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec)
    store.put(keys.request(RUN, request.trial), encode(request))
    return request.trial


def test_a_request_becomes_a_result(s3_server: S3Server, s3_store_uri: str, digits: MadeDataset) -> None:
    store = open_store(s3_store_uri)
    store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)
    trial = ask(store, digits.ref)
    ended = container(s3_server, "train", "--store", s3_store_uri, "--run", RUN, "--trial", trial)
    assert ended.returncode == ExitCode.DELIVERED, ended.stderr
    result = decode(TrainingResult, store.get(keys.result(RUN, trial)), "result.json")
    assert (result.trial, result.status) == (trial, "completed")
    assert result.versions["metaqnn-orch"] == __version__

    lost = ask(store, DatasetRef(name="digits", digest="0" * 16))
    ended = container(s3_server, "train", "--store", s3_store_uri, "--run", RUN, "--trial", lost)
    assert ended.returncode == ExitCode.DATASET
    assert "the dataset is missing" in ended.stderr.splitlines()[-1]


def test_who_it_is_and_what_it_holds(s3_server: S3Server) -> None:
    program = (
        "import importlib.util, os; print(os.getuid(), importlib.util.find_spec('metaqnn_orch'));"
        "open('/opt/metaqnn/app/x', 'w')"
    )
    ended = container(s3_server, "-c", program, options=("--entrypoint=python3",))
    assert ended.stdout.split() == ["65532", "None"]
    assert "Read-only file system" in ended.stderr


def test_nothing_is_compiled_when_it_starts(s3_server: S3Server) -> None:
    program = "import torch, metaqnn_trainer.trial, metaqnn_trainer.tasks.classification, metaqnn_trainer.store.s3"
    ended = container(s3_server, "-v", "-c", program, options=("--entrypoint=python3",))
    assert ended.returncode == 0, ended.stderr
    found = [line for line in ended.stderr.splitlines() if line.startswith("# code object from ")]
    assert len(found) > 1000
    assert [line for line in found if ".pyc" not in line] == []
