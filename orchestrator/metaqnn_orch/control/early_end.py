"""The rule by which a trainer stops a net that is not among the best: only the trainer can do the arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Final

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.messages import (
    EarlyEnd,
    LearningCurve,
    PredictionRule,
    QuarterExample,
    QuarterRule,
    quarter,
)
from metaqnn_trainer.spaces.base import Space

MOST: Final = 200  # examples in a request: the latest, which are most like the searcher's present proposals
_EPOCHS: Final = 20_000  # bytes of all examples together, so that a request does not exceed a message's size
LATEST: Final = 100  # nets whose best third sets the threshold of a quarter


def early_end(settings: Settings, newest_first: Iterable[Trial], best: Trial | None) -> EarlyEnd | None:
    """The rule for a trial that begins now, where the settings ask for one and there are enough examples; else None.

    Examples are nets that were trained to their end while the settings asked for a rule. A list of nets, as in finals,
    is trained to its end, because the rewards of all its nets are wanted.
    """
    rule = settings.execution.early_end
    if not rule.enabled or settings.nets or best is None or best.reward is None:
        return None
    make = _quarter if rule.rule == "quarter" else _prediction
    designs = (trial for trial in newest_first if not trial.confirms)  # the best ones would count several times
    return make(settings, designs, best.worth)


def _prediction(settings: Settings, newest_first: Iterable[Trial], best: float) -> PredictionRule | None:
    rule, epochs, space = settings.execution.early_end, settings.recipe.epochs, settings.state_space()
    whole = (trial for trial in newest_first if trial.state == "completed" and len(trial.curve) == epochs)
    examples = tuple(
        LearningCurve(
            params=trial.params or 0,
            macs=trial.macs or 0,
            layers=_parts(space, trial.net),
            accuracies=tuple(trial.curve),
        )
        for trial in islice(whole, min(MOST, _EPOCHS // epochs))
    )
    if len(examples) < rule.needed:
        return None
    return PredictionRule(best=best, confidence=rule.confidence, examples=examples)


def _quarter(settings: Settings, newest_first: Iterable[Trial], best: float) -> QuarterRule | None:
    """The threshold comes from all nets that got so far, those that the rule stopped there among them: the rest alone
    would raise it from net to net.

    Of the nets that were trained to their end, those that were worst at that epoch are the examples: they are most like
    the nets that are stopped.
    """
    epochs = settings.recipe.epochs
    done = quarter(epochs)
    if done == epochs:
        return None
    got_so_far = [
        trial for trial in newest_first if len(trial.curve) >= done and trial.recipe.get("epochs", epochs) == epochs
    ]
    trained = [(max(trial.curve[:done]), max(trial.curve)) for trial in got_so_far if trial.was_trained]
    if len(trained) < settings.execution.early_end.needed:
        return None
    latest = sorted((max(trial.curve[:done]) for trial in got_so_far[:LATEST]), reverse=True)
    return QuarterRule(
        epochs=epochs,
        threshold=latest[len(latest) // 3 - 1],
        best=best,
        examples=tuple(QuarterExample(quarter=reached, final=final) for reached, final in sorted(trained)[:MOST]),
    )


@lru_cache(maxsize=1_000)
def _parts(space: Space, design: str) -> int:
    return len(space.describe(design))
