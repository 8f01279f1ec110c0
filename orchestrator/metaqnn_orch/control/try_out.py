"""Tries the searcher and the space of settings before anything is created: what fails at once need not become a run."""

from __future__ import annotations

from metaqnn_orch.control.proposals import refuse_nonsense
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import SearcherFailed
from metaqnn_orch.search.sampling import random_design
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.blame import BLAME_HINT, blaming
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.spaces.base import SPACES


def try_out(settings: Settings) -> RunState:
    """A new state of these settings, whose searcher was asked for its first proposal, and whose space for a design and
    its costs.

    Raises:
        PluginFailed: one of them fails, or its answers make no sense.
    """
    if settings.nets:
        return RunState(settings)
    state = RunState(settings)
    with blaming(SPACES.find(settings.space.family), "a random design was drawn and described"):
        design = some_design(settings)
        state.space.walk(design)
        state.space.cost(design)
    first = state.propose(0)
    if first is None:
        raise SearcherFailed(f"{SEARCHERS.find(settings.search.method)} proposes nothing at its first step", BLAME_HINT)
    refuse_nonsense(state, 0, first)
    return RunState(settings)


def some_design(settings: Settings) -> str:
    """A design of these settings, always the same one: the first of a list, or a random one."""
    if settings.nets:
        return settings.nets[0]
    return random_design(settings.state_space(), settings.randomness("try out", 0))
