"""What a person may not expect of a search that can be begun: one line each. Pure."""

from __future__ import annotations

from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.text import amount


def only_random(settings: Settings) -> str:
    """Why a search by mutation mutates nothing, in words; empty where it does. `population` is the option of a searcher
    that first draws so many designs at random.
    """
    population, goal = getattr(settings.search, "population", None), settings.goal
    if settings.nets or not isinstance(population, int) or population < goal:
        return ""
    return (
        f"{settings.search.method} mutates nothing here, and is random search: its first {amount(population, 'net')} "
        f"(search.population) are drawn at random, and this search has {goal:,}"
    )
