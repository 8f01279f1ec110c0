"""The requests to trainers: request.json of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import RunConflict
from metaqnn_orch.launchers.base import NO_OPTIONS
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.store.base import Store


def request_of(
    record: RunRecord, settings: Settings, trial: Trial, options: TrainerOptions = NO_OPTIONS
) -> TrainingRequest:
    """The request for a trial.

    Raises:
        RunConflict: with the plug-ins that are installed now, it would be another trial.
    """
    spec = record.spec(settings, trial.net, trial.recipe, trial.initial)
    if spec.trial_id() != trial.trial:
        raise RunConflict(
            f"trial {trial.trial} was proposed with other plug-ins than those that are installed: "
            f"{spec.plugins or 'none'}",
            hint="install the versions with which the run began; metaqnn-orch config plugins lists the installed ones",
        )
    return TrainingRequest(run=record.run, trial=trial.trial, spec=spec, options=options)


def write_requests(store: Store, requests: Sequence[TrainingRequest]) -> None:
    """Write several requests in parallel: at the beginning there may be hundreds."""
    each(partial(_write, store), requests)


def _write(store: Store, request: TrainingRequest) -> None:
    """Write the request as the present attempt needs it: an earlier attempt may have run elsewhere, or with other
    settings.
    """
    key = keys.request(request.run, request.trial)
    if store.put_if_absent(key, encode(request)):
        return
    with suppress(MessageError):
        there = read(TrainingRequest, store.get, key)
        # All attempts of a trial must come to the same decision about an early end.
        options = request.options.model_copy(update={"early_end": there.options.early_end})
        request = request.model_copy(update={"options": options})
        if request == there:
            return
    store.put(key, encode(request))
