"""A trained trial with all its parts (the files of its result), each of them checked."""

from __future__ import annotations

from metaqnn_orch.control.ingest import Refused, Trusted, read_result
from metaqnn_orch.control.objective import Objective, measures_of
from metaqnn_orch.control.requests import request_of
from metaqnn_orch.control.retention import read_removed
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import PluginsMissing
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store


def whole(store: Store, view: RunView, trial: Trial) -> dict[str, bytes]:
    """All parts of a trial, by the names of their files, if they are still those that the searcher was told of.

    Raises:
        MessageError: they are not.
    """
    run, name = view.record.run, trial.trial
    try:
        result = _checked(store, view, trial)
    except PluginsMissing:
        result = _as_told(store, run, trial)
    siblings = {
        artifacts.plain_name(kind): artifacts.read(store, run, name, kind, artifact)
        for kind, artifact in artifacts.named(result).items()
    }
    messages = {
        key.rpartition("/")[2]: store.get(key, ENOUGH_BYTES)
        for key in (keys.request(run, name), keys.result(run, name))
    }
    return messages | siblings


def _checked(store: Store, view: RunView, trial: Trial) -> TrainingResult:
    """
    Raises:
        MessageError: the result is not the one that the searcher was told of.
        PluginsMissing: without a plug-in this cannot be checked.
    """
    run, name, settings = view.record.run, trial.trial, view.state.settings
    found = read_result(store, view.record.info, request_of(view.record, settings, trial), Objective(settings))
    removed = read_removed(store, run, name) if isinstance(found, Refused) else None
    if removed is not None:
        raise MessageError(str(removed))
    if not isinstance(found, Trusted):
        raise MessageError(found.reason if found is not None else "its result.json is missing")
    if found.reward != trial.reward:
        raise MessageError(f"its result.json says {found.reward}, but the journal says {trial.reward}")
    return found.result


def _as_told(store: Store, run: str, trial: Trial) -> TrainingResult:
    """The result of a trial whose space is not installed here. Its request's digest is its id, and its numbers are the
    journal's; what its design costs is not computed again.

    Raises:
        MessageError: they are not.
    """
    request = read(TrainingRequest, store.get, keys.request(run, trial.trial))
    result = read(TrainingResult, store.get, keys.result(run, trial.trial))
    if request.spec.trial_id() != trial.trial or result.trial != trial.trial:
        raise MessageError("its request.json or its result.json is of another trial")
    if (result.params, result.macs, measures_of(result)) != (trial.params, trial.macs, trial.measures):
        raise MessageError("its result.json says other numbers than the journal")
    return result
