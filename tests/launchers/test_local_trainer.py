"""The local launcher with the trainer itself, over S3: both deployables and what lies between them, nothing faked."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.application.datasets import push
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.local import LocalLauncher
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store
from tests.launchers.harness import ENDED, until, until_phase

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the extra: metaqnn-orch[train]"
)


TRAINER: Final = (sys.executable, "-m", "metaqnn_trainer")


def ask(store: Store, dataset: DatasetRef, net: str, epochs: int) -> TrainingRequest:
    spec = TrialSpec(net=net, dataset=dataset, image_size=8, recipe=Recipe(epochs=epochs))
    request = TrainingRequest(run="r", trial=spec.trial_id(), spec=spec)
    store.put(keys.request(request.run, request.trial), encode(request))
    return request


def test_trials_on_this_machine(s3_store_uri: str) -> None:
    store = open_store(s3_store_uri)
    digits = push(store, "digits", report=lambda _line: None, trainer=TRAINER)
    quick = ask(store, digits, "[C(64,3,1), P(2,2), SM(10)]", epochs=1)
    endless = ask(store, digits, "[C(64,3,1), SM(10)]", epochs=10_000)
    lost = ask(store, DatasetRef(name="digits", digest="0" * 16), "[SM(10)]", epochs=1)
    launcher = LocalLauncher(store.uri, parallel=1, command=(*TRAINER, "worker"))
    try:
        launcher.launch(quick, 1)
        assert until_phase(launcher, quick, *ENDED).phase is Phase.DELIVERED
        result = decode(TrainingResult, store.get(keys.result("r", quick.trial)), "result.json")
        assert (result.trial, result.attempt, result.status) == (quick.trial, 1, "completed")
        assert result.reward > 0.3

        launcher.launch(lost, 1)
        seen = until_phase(launcher, lost, *ENDED)
        assert seen.phase is Phase.UNEQUIPPED
        assert "12 (dataset)" in seen.detail

        launcher.launch(endless, 1)
        worker = int(until_phase(launcher, endless, Phase.RUNNING).detail.removeprefix("process "))
        time.sleep(0.3)
        os.kill(worker, signal.SIGKILL)
        seen = until_phase(launcher, endless, *ENDED)
        assert seen.phase is Phase.CRASHED
        assert "SIGKILL" in seen.detail

        launcher.launch(endless, 2)
        worker = int(until_phase(launcher, endless, Phase.RUNNING).detail.removeprefix("process "))
    finally:
        launcher.close()
    until(lambda: not Path(f"/proc/{worker}").exists())
    assert [entry.key for entry in store.list(keys.trial("r", endless.trial))] == [keys.request("r", endless.trial)]
