"""Puts a net into a search by hand. The search trains it before it asks its searcher, and learns from it."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from metaqnn_orch.application.moment import now
from metaqnn_orch.control.presence import check_there, is_there
from metaqnn_orch.control.queue import Queued, ahead, proposal_of, put, waiting, withdraw
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, RunConflict
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.settings.sources import continue_settings
from metaqnn_trainer.contract.bounds import MAX_DESIGN
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store


class Enqueued(NamedTuple):
    """What became of a net that a person wants to be trained."""

    trial: str
    net: str
    known: Trial | None
    """The run's trial of it, where it has one already; then nothing was put in."""
    is_new: bool
    """Whether it was put in just now; False where it waits in the queue already."""


def enqueue(store: Store, view: RunView, net: str, assignments: Sequence[str]) -> Enqueued:
    """Put a net into the run's queue, with these changes to its recipe.

    Raises:
        BadInput: the net is none of the space, the changes make no recipe, or the run trains no further net.
        PluginsMissing: the space is not installed here.
        RunConflict: the run has no place left, or was renamed or removed meanwhile.
    """
    record, state = view.record, view.state
    run = record.run
    if state.settings.nets:
        raise BadInput(f"run {run} trains a list of nets, and searches for none")
    if record.is_open:
        raise BadInput(
            f"run {run} was imported, and has no dataset yet",
            hint=f"choose one by going on with the run: {next_command(f'start PRESET_OR_FILE --run {run}', store.uri)}",
        )
    if len(net) > MAX_DESIGN:
        raise BadInput(f"{net[:40]}... cannot be trained in run {run}: it has more than {MAX_DESIGN} characters")
    changes = _changes(record, assignments) if assignments else {}
    event = proposal_of(record, state, Queued(net=net, recipe=changes, at=now()))
    known = state.trials.get(event.trial)
    if known is not None:
        return Enqueued(event.trial, event.net, known, False)
    others = [trial for trial in waiting(store, run, state) if trial != event.trial]
    _refuse_complete(store, view, len(others))
    is_new = put(store, run, event.trial, Queued(net=event.net, recipe=changes, at=now(), by=_me()))
    if is_new and not is_there(store, record):
        withdraw(store, run, event.trial)
        check_there(store, record, "the net is not in its queue")
    return Enqueued(event.trial, event.net, None, is_new)


def _changes(record: RunRecord, assignments: Sequence[str]) -> dict[str, Any]:
    """The settings of the recipe that differ from the run's own.

    Raises:
        SettingsError: they are none, or a plug-in of the run is not installed here.
    """
    own = record.settings_as_run().recipe.model_dump(mode="json")
    wanted = continue_settings(record.settings, f"run {record.run}", {}, assignments, {}).recipe.model_dump(mode="json")
    return {key: value for key, value in wanted.items() if value != own[key]}


def _refuse_complete(store: Store, view: RunView, others: int) -> None:
    """Refuse a net that the run would never train. `others` wait in the queue.

    Raises:
        RunConflict: every place of its schedule is taken, whoever asks for one.
    """
    state, run = view.state, view.record.run
    total = sum(phase.unique for phase in state.settings.phases())
    if state.unique + _flying(state) + others < total:
        return
    what = f"all {total} nets of its schedule are trained"
    if state.unique < total:
        what = f"its schedule has {total} nets: {_taken(state, others)}"
    begun = next_command(f"start PRESET_OR_FILE --run NAME --warm-start-from {run}", store.uri)
    raise RunConflict(
        f"run {run} is complete: {what}" if state.unique >= total else f"run {run} has no place left: {what}",
        hint=f"begin another run with what it learned: {begun}, then enqueue the net there",
    )


def _flying(state: RunState) -> int:
    """How many new nets are in training."""
    return sum(not trial.confirms for trial in state.in_flight.values())


def _taken(state: RunState, others: int) -> str:
    """What takes the places of a run, in words."""
    return f"{state.unique} are trained, {_flying(state)} in training, and {others} wait in the queue before this one"


def what_trains_it(store: Store, view: RunView, trial: str, *, works: bool) -> str:
    """What has to happen before the net of the queue is trained, in words. `works` says whether a search goes on.

    Raises:
        StoreError: the store does not answer.
    """
    state, run = view.state, view.record.run
    goal = state.opened.goal if state.opened is not None else state.settings.goal
    others = ahead(store, run, state, trial)
    place = state.unique + _flying(state) + others + 1  # among the nets of the run
    more = next_command(f"resume {run}", store.uri, f"--max-trials {place}" if place > goal else "")
    if works:
        if place > goal:
            return f"the search ends with {goal} nets ({_taken(state, others)}); then {more} trains it"
        return f"as it stands, the search takes it as net {place} of {goal}, as soon as a place is free"
    if state.finished is not None and state.finished.reason == "goal" and state.unique >= goal:
        return f"the run is complete with {amount(goal, 'net')}: {more} trains it"
    if state.finished is not None and state.finished.reason != "exhausted":
        return f"the run has ended ({state.finished.detail}): {more} with a larger limit trains it"
    return f"{more} goes on with the run, and trains it {f'after {others} others' if others else 'first'}"


def _me() -> str:
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"[:200]
    except (OSError, KeyError):  # a user without a name
        return socket.gethostname()[:200]
