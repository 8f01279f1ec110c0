"""Turns a searcher's proposal into its event: which trial it is, with which recipe and which weights."""

from __future__ import annotations

from pydantic import ValidationError

from metaqnn_orch.control.events import Proposed
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import ObjectMissing, SearcherFailed, one_line
from metaqnn_orch.search.searcher import SEARCHERS, Proposal
from metaqnn_orch.settings.blame import BLAME_HINT
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
        SearcherFailed: it is no proposal, as `refuse_nonsense` says.
        StoreError: the store did not answer.
    """
    refuse_nonsense(state, step, proposal)
    design, recipe = proposal.design, dict(proposal.recipe)
    known = state.by_net.get(design)
    if known is not None and known.is_plain and not recipe and proposal.initial is None:
        return Proposed(step=step, epsilon=epsilon, net=design, trial=known.trial)
    parent = state.by_net.get(proposal.initial) if proposal.initial is not None else None
    initial = weights_of(store, record.run, parent.trial) if parent is not None else None
    try:
        spec = record.spec(state.settings, design, recipe, initial)
        return Proposed(step=step, epsilon=epsilon, net=design, trial=spec.trial_id(), recipe=recipe, initial=initial)
    except ValueError as error:
        raise _refusal(state, f"what makes no trial at step {step}: {_first(error)}") from None


def refuse_nonsense(state: RunState, step: int, proposal: object) -> None:
    """
    Raises:
        SearcherFailed: it is no Proposal, the design is none of the space or not its canonical text, the changes to the
            recipe make no recipe, or the weights are those of a design that was never proposed. Of a list of nets,
            legal or not, the settings have seen to that.
    """
    if state.settings.nets:
        return
    at = f"at step {step}"
    if not isinstance(proposal, Proposal):
        raise _refusal(state, f"{one_line(repr(proposal))} {at}, which is no Proposal")
    design, recipe, initial = proposal
    if not isinstance(design, str) or not isinstance(initial, str | None):
        wrong = initial if isinstance(design, str) else design
        raise _refusal(state, f"{one_line(repr(wrong))} {at}, which is no text of a design")
    if initial is not None and initial not in state.by_net:
        raise _refusal(state, f"weights to begin with {at} of {one_line(initial)!r}, which was never proposed before")
    if design not in state.by_net:
        _refuse_foreign(state, at, design)
    try:
        state.settings.recipe.changed(dict(recipe))
    except (ValueError, TypeError) as error:
        raise _refusal(state, f"a recipe {at} that is none: {_first(error)}") from None


def _refuse_foreign(state: RunState, at: str, design: str) -> None:
    try:
        state.space.walk(design)
        whole = state.space.canonical(design) == design
    except (IllegalDesign, ContractError) as error:
        raise _refusal(state, f"{one_line(design)!r} {at}: {error}") from None
    if not whole:
        raise _refusal(state, f"{one_line(design)!r} {at}, which is no canonical text")


def _refusal(state: RunState, what: str) -> SearcherFailed:
    return SearcherFailed(f"{SEARCHERS.find(state.settings.search.method)} proposes {what}", BLAME_HINT)


def _first(error: Exception) -> str:
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
