"""A trained trial with all its parts (the files of its result), each of them checked."""

from __future__ import annotations

from metaqnn_orch.control.ingest import Refused, Trusted, read_result
from metaqnn_orch.control.objective import Objective
from metaqnn_orch.control.requests import request_of
from metaqnn_orch.control.retention import read_removed
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.base import Store


def whole(store: Store, view: RunView, trial: Trial) -> dict[str, bytes]:
    """All parts of a trial, by the names of their files, if they are still those that the searcher was told of.

    Raises:
        MessageError: they are not.
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
    siblings = {
        artifacts.plain_name(kind): artifacts.read(store, run, name, kind, artifact)
        for kind, artifact in artifacts.named(found.result).items()
    }
    messages = {
        key.rpartition("/")[2]: store.get(key, ENOUGH_BYTES)
        for key in (keys.request(run, name), keys.result(run, name))
    }
    return messages | siblings
