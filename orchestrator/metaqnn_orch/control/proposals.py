"""Turns a searcher's proposal into its event: which trial it is, with which recipe and which weights."""

from __future__ import annotations

from pydantic import ValidationError

from metaqnn_orch.control.events import Proposed
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import ObjectMissing, SearcherFailed, one_line
from metaqnn_orch.search.searcher import SEARCHERS, Proposal
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import first_error, read
from metaqnn_trainer.contract.errors import ContractError, MessageError
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.store.base import Store


def as_event(
    store: Store, record: RunRecord, state: RunState, step: int, epsilon: float | None, proposal: Proposal
) -> Proposed:
    """The proposal of a step as an event. A proposal of a known design without changes belongs to that design's trial,
    whatever its id: an import may have given it another one. Weights that do not exist any more are left out: the
    trial then begins without them.

    Raises:
        SearcherFailed: the design is none of the space, or the changes to the recipe make no recipe.
        StoreError: the store did not answer.
    """
    design, recipe = proposal.design, dict(proposal.recipe)
    known = state.by_net.get(design)
    if known is not None and known.is_plain and not recipe and proposal.initial is None:
        return Proposed(step=step, epsilon=epsilon, net=design, trial=known.trial)
    if known is None:
        _check(state, step, design)
    parent = state.by_net.get(proposal.initial) if proposal.initial is not None else None
    initial = weights_of(store, record.run, parent.trial) if parent is not None else None
    try:
        spec = record.spec(state.settings, design, recipe, initial)
    except ValueError as error:
        raise SearcherFailed(f"{_who(state)} proposes a recipe at step {step} that is none: {_first(error)}") from None
    return Proposed(step=step, epsilon=epsilon, net=design, trial=spec.trial_id(), recipe=recipe, initial=initial)


def _check(state: RunState, step: int, design: str) -> None:
    """
    Raises:
        SearcherFailed: the design is none of the space, or not its canonical text; of a list of nets, legal or not,
            the settings have seen to that.
    """
    if state.settings.nets:
        return
    try:
        state.space.walk(design)
        whole = state.space.canonical(design) == design
    except (IllegalDesign, ContractError) as error:
        raise SearcherFailed(f"{_who(state)} proposes {one_line(str(design))!r} at step {step}: {error}") from None
    if not whole:
        raise SearcherFailed(f"{_who(state)} proposes {one_line(design)!r} at step {step}, which is no canonical text")


def _who(state: RunState) -> str:
    return str(SEARCHERS.find(state.settings.search.method))


def _first(error: ValueError) -> str:
    return first_error(error) if isinstance(error, ValidationError) else str(error)


def weights_of(store: Store, run: str, trial: str) -> WeightsRef | None:
    """The key of the weights of a trained design; None where it kept none, or they do not exist any more.

    Raises:
        StoreError: the store did not answer.
    """
    try:
        weights = read(TrainingResult, store.get, keys.result(run, trial)).weights
        if weights is None:
            return None
        artifacts.locate(store, run, trial, "weights", weights)
    except (ObjectMissing, MessageError):
        return None
    return WeightsRef(run=run, trial=trial, sha256=weights.sha256)
