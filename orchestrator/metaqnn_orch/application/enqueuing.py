"""Puts a net into a search by hand. The search trains it before it asks its searcher, and learns from it."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from metaqnn_orch.application.moment import now
from metaqnn_orch.control.queue import Queued, proposal_of, put
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, RunConflict
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
    """
    record, state = view.record, view.state
    run = record.run
    if state.settings.nets:
        raise BadInput(f"run {run} trains a list of nets, and searches for none")
    if record.is_open:
        raise BadInput(
            f"run {run} was imported, and has no dataset yet",
            hint=f"choose one by going on with the run: metaqnn-orch start PRESET_OR_FILE --run {run}",
        )
    if len(net) > MAX_DESIGN:
        raise BadInput(f"{net[:40]}... cannot be trained in run {run}: it has more than {MAX_DESIGN} characters")
    changes = _changes(record.settings, run, assignments)
    event = proposal_of(record, state, Queued(net=net, recipe=changes, at=now()))
    known = state.trials.get(event.trial)
    if known is not None:
        return Enqueued(event.trial, event.net, known, False)
    _refuse_complete(view)
    queued = Queued(net=event.net, recipe=changes, at=now(), by=_me())
    return Enqueued(event.trial, event.net, None, put(store, run, event.trial, queued))


def _changes(begun: Mapping[str, Any], run: str, assignments: Sequence[str]) -> dict[str, Any]:
    """The settings of the recipe that differ from the run's own."""
    wanted = continue_settings(begun, f"run {run}", {}, assignments, {}).recipe.model_dump(mode="json")
    own = continue_settings(begun, f"run {run}", {}, [], {}).recipe.model_dump(mode="json")
    return {key: value for key, value in wanted.items() if value != own[key]}


def _refuse_complete(view: RunView) -> None:
    """
    Raises:
        RunConflict: the run trains no further net, whoever asks for it.
    """
    state, run = view.state, view.record.run
    total = sum(phase.unique for phase in state.settings.phases())
    if state.unique >= total:
        raise RunConflict(
            f"run {run} is complete: all {total} nets of its schedule are trained",
            hint=f"begin another run with what it learned: metaqnn-orch start PRESET_OR_FILE --run NAME "
            f"--warm-start-from {run}, then enqueue the net there",
        )


def what_trains_it(view: RunView, *, works: bool) -> str:
    """What has to happen before the net is trained, in words."""
    state, run = view.state, view.record.run
    goal = state.opened.goal if state.opened is not None else state.settings.goal
    if works and state.finished is None:
        return "the search takes it as soon as a place is free"
    if state.finished is not None and state.finished.reason == "goal" and state.unique >= goal:
        again = f"metaqnn-orch resume {run} --max-trials {goal + 1} trains it"
        return f"the run is complete with {amount(goal, 'net')}: {again}"
    if state.finished is not None and state.finished.reason != "exhausted":
        return f"the run has ended ({state.finished.detail}): metaqnn-orch resume {run} with a larger limit trains it"
    return f"metaqnn-orch resume {run} goes on with the run, and trains it first"


def _me() -> str:
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"[:200]
    except (OSError, KeyError):  # a user without a name
        return socket.gethostname()[:200]
