"""Where the bill goes: the dearest tenth of the nets, and what a limit to multiply-accumulates would save. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.history import History
from metaqnn_orch.search.sampling import random_design
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.spaces.base import Space

_DRAWS: Final = 300
_FEWEST: Final = 10  # nets of which a tenth can be told
_TENTH: Final = 10
_BEST: Final = 10
LIMIT: Final = "max_macs"


class Foreseen(NamedTuple):
    """The dearest tenth of the nets that a run's first ones are like."""

    nets: int
    """Number of different nets that were drawn."""
    share: float
    """Share of the dearest tenth in the multiply-accumulates of all of them."""
    max_macs: int | None
    """A limit that leaves out about this tenth; None where the space has no such setting, or it saves nothing."""
    saves: float | None
    """The share by which that limit lowers the mean multiply-accumulates of a net. Other nets are drawn in the place of
    the dearest, and many of them are just below the limit.
    """


class Spent(NamedTuple):
    """The dearest tenth of the nets that a run has trained."""

    nets: int
    """Number of nets in it."""
    of: int
    """Number of all nets."""
    max_macs: int
    """The multiply-accumulates of the dearest net that is not among them."""
    seconds: float
    """Seconds of training, with what confirmed them."""
    time_share: float
    macs_share: float
    best: Trial | None
    """The best of them; None where all were stopped early."""
    place: int
    """Its place among all nets, from 1; 0 where there is none."""
    lost: list[tuple[int, Trial]]
    """Nets among the run's ten best that are in it, with their places."""


def foresee(settings: Settings) -> Foreseen | None:
    """The dearest tenth of random nets of the space: all searchers begin with such nets. None where designs have no
    cost, where there are too few of them, or where the settings list the nets.
    """
    costs = [] if settings.nets else _drawn(settings.state_space(), settings)
    limit = _limit(costs)
    if limit is None:
        return None
    share = sum(cost for cost in costs if cost > limit) / sum(costs)
    limit = _rounded_up(limit)
    limited = _limited(settings.space, limit)
    if limited is None:
        return Foreseen(len(costs), share, None, None)
    kept = settings.model_copy(update={"space": limited})
    left = _drawn(kept.state_space(), kept)
    saves = 1 - sum(left) / len(left) / (sum(costs) / len(costs))
    return Foreseen(len(costs), share, *((limit, saves) if saves > 0 else (None, None)))


def spent(history: History, ranking: Sequence[Trial]) -> Spent | None:
    """The dearest tenth of the nets of a run, whose nets are ranked. None where nothing is known about the cost of its
    nets, or where there are too few. Imported trials took no time here, and do not count.
    """
    trained = [item for item in history.timed if item.trial.macs and item.seconds > 0]
    nets = [item.trial for item in trained if not item.trial.confirms]
    limit = _limit([trial.macs or 0 for trial in nets])
    if limit is None:
        return None
    dear = [item for item in trained if (item.trial.macs or 0) > limit]
    ids = {item.trial.trial for item in dear if not item.trial.confirms}
    ranked = [(place, trial) for place, trial in enumerate(ranking, 1) if trial.trial in ids]
    seconds = sum(item.seconds for item in dear)
    return Spent(
        nets=len(ids),
        of=len(nets),
        max_macs=limit,
        seconds=seconds,
        time_share=seconds / sum(item.seconds for item in trained),
        macs_share=sum(item.trial.macs or 0 for item in dear) / sum(item.trial.macs or 0 for item in trained),
        best=ranked[0][1] if ranked else None,
        place=ranked[0][0] if ranked else 0,
        lost=[(place, trial) for place, trial in ranked if place <= _BEST],
    )


def _drawn(space: Space, settings: Settings) -> list[int]:
    """The multiply-accumulates of the different nets among so many random ones."""
    designs = {random_design(space, settings.randomness("bill", number)) for number in range(_DRAWS)}
    return [space.cost(design).macs for design in designs]


def _limit(costs: Sequence[int]) -> int | None:
    """The highest cost below those of the dearest tenth; None where there is no such tenth."""
    if len(costs) < _FEWEST:
        return None
    limit = sorted(costs)[len(costs) - -(-len(costs) // _TENTH) - 1]
    return limit if max(costs) > limit > 0 else None


def _limited(section: Any, limit: int) -> Any | None:
    """The settings of a space with that limit; None where they have none. They are a model or a dataclass."""
    if not hasattr(section, LIMIT):
        return None
    update: dict[str, Any] = {LIMIT: limit}
    return section.model_copy(update=update) if isinstance(section, BaseModel) else replace(section, **update)


def _rounded_up(number: int) -> int:
    """The number with three significant digits, rounded up."""
    unit: int = 10 ** max(0, len(str(number)) - 3)
    return -(-number // unit) * unit
