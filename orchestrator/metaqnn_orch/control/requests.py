"""What trainers are asked: request.json of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from typing import Final

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import Trial
from metaqnn_orch.launchers.base import NO_OPTIONS
from metaqnn_orch.settings import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, decode, encode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainerOptions, TrainingRequest
from metaqnn_trainer.store.base import Store

WRITERS: Final = 8  # of requests at once


def request_of(
    record: RunRecord, settings: Settings, trial: Trial, options: TrainerOptions = NO_OPTIONS
) -> TrainingRequest:
    spec = record.spec(settings, trial.net)
    return TrainingRequest(run=record.run, trial=trial.trial, spec=spec, options=options)


def write_requests(store: Store, requests: Sequence[TrainingRequest]) -> None:
    """A store far away takes its time for each, and at the beginning there may be hundreds."""
    with ThreadPoolExecutor(WRITERS) if len(requests) > 1 else nullcontext() as pool:
        list((pool.map if pool else map)(partial(_write, store), requests))


def _write(store: Store, request: TrainingRequest) -> None:
    """As the present attempt needs it: an earlier one may have run elsewhere, or under other settings."""
    key = keys.request(request.run, request.trial)
    if store.put_if_absent(key, encode(request)):
        return
    with suppress(MessageError):
        there = decode(TrainingRequest, store.get(key, ENOUGH_BYTES), key)
        # All attempts come to the same decision about an early end.
        options = request.options.model_copy(update={"early_end": there.options.early_end})
        request = request.model_copy(update={"options": options})
        if request == there:
            return
    store.put(key, encode(request))
