"""Writes a trial's net as a file that needs nothing of this project, with the trainer on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from metaqnn_orch.application.naming import find_trial
from metaqnn_orch.application.trainer_call import TRAINER, call
from metaqnn_orch.control.retention import best_kept, read_removed
from metaqnn_orch.control.without_plugins import missing, pip_install
from metaqnn_orch.errors import BadInput, PluginsMissing, StoreError
from metaqnn_orch.needs import need
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.reporting.verdict import read_verdict
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import Cause

SUFFIXES: Final = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}


class Exported(NamedTuple):
    """The file that was written, and its accuracy on the validation images."""

    files: list[str]
    images: int
    accuracy: float
    recorded: float
    """The validation accuracy of the trial's result."""
    difference: float
    """Largest difference between two logits, the file's and the trainer's."""


def choose(store: Store, view: RunView, trial: str | None) -> str:
    """The trial whose net is written: the named one, or else the best; of the best, its best training.

    Raises:
        NotFound: the run has no such trial.
        BadInput: it may be several trials, or it has no weights.
    """
    run = view.record.run
    if trial is None:
        if view.state.best is None:
            raise BadInput(f"run {run} has no trained net yet")
        trial = best_kept(store, run, view.state.best).trial
    found = find_trial(view, trial, store.uri)
    trial = found.trial
    if found.reward is None:
        raise BadInput(f"trial {trial} has no result: it is {found.state.replace('_', ' ')}")
    removed = read_removed(store, run, trial)
    if removed is not None:
        raise BadInput(
            f"trial {trial}: {removed}", hint=f"train it again: {next_command(f'retrain {run} {trial}', store.uri)}"
        )
    return trial


def export(
    store: Store,
    run: str,
    trial: str,
    form: str,
    to: Path,
    *,
    fixed_size: bool = False,
    force: bool = False,
    report: Callable[[str], None],
    trainer: Sequence[str] = TRAINER,
) -> Exported:
    """Have the trainer write the trial's net to `to`, in a format of SUFFIXES, and check the file. With `fixed_size` it
    takes images of the net's own size only. Files that no export wrote are replaced only with `force`.

    Raises:
        BadInput: the net cannot be written so, or not there; the trainer's words say why.
        PluginsMissing: it cannot, and a plug-in on which the trial depends is not installed here.
        NotFound: the dataset is not in the store any more.
        StoreError: the store does not answer the trainer.
        LauncherError: there is no trainer on this machine, or it failed.
    """
    if form == "onnx":
        need("export", "an ONNX file")
    arguments = ["export", "--store", store.uri, "--run", run, "--trial", trial, "--format", form, "--to", str(to)]
    arguments += ["--fixed-size"] * fixed_size + ["--force"] * force + _tested(store, run, trial)
    answer = call(arguments, report, trainer, lambda pid: to.parent.glob(f".export-{pid}-*"))
    try:
        return answer.told(Exported, f"trial {trial} could not be exported", f"exporting trial {trial}")
    except BadInput as error:
        _blame_the_missing(store, run, trial, error)
        raise
    except StoreError as error:
        if error.cause is Cause.REFUSED:
            again = next_command(f"retrain {run} {trial}", store.uri)
            error.hint = f"--trial exports another net; {again} trains this one again"
        raise


def _blame_the_missing(store: Store, run: str, trial: str, error: BadInput) -> None:
    """
    Raises:
        PluginsMissing: the trial depends on a plug-in that is not installed here.
    """
    with suppress(StoreError, MessageError):
        plugins = read(TrainingRequest, store.get, keys.request(run, trial)).spec.plugins
        if lack := missing(plugins):
            raise PluginsMissing(f"{error}; the trial {lack}", pip_install(plugins)) from None


def _tested(store: Store, run: str, trial: str) -> list[str]:
    """The argument that says the test accuracy, where finals have measured this trial's net alone. Trials with one id
    are one training; the run may have had another name then.
    """
    try:
        verdict = read_verdict(store, run)
    except MessageError:  # `finals` says that it is damaged; the net is whole
        return []
    if verdict is None or verdict.finalists[0].trial != trial:
        return []
    return ["--test-accuracy", repr(verdict.test_accuracy)]
