"""The rule by which a trainer stops a net that will not beat the best one: only the trainer can do the arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.messages import EarlyEnd, LearningCurve
from metaqnn_trainer.spaces.cnn.notation import parse_net

MOST: Final = 200  # examples in a request: the latest, which are most like the searcher's present proposals
_EPOCHS: Final = 20_000  # bytes of all examples together, so that a request does not exceed a message's size


def early_end(settings: Settings, newest_first: Iterable[Trial], best: Trial | None) -> EarlyEnd | None:
    """The rule for a trial that begins now, where the settings ask for one and there are enough examples; else None.

    Examples are nets that were trained to their end while the settings asked for a rule. A list of nets, as in finals,
    is trained to its end, because the rewards of all its nets are wanted.
    """
    rule, epochs = settings.execution.early_end, settings.recipe.epochs
    if not rule.enabled or settings.nets or best is None or best.reward is None:
        return None
    whole = (trial for trial in newest_first if trial.state == "completed" and len(trial.curve) == epochs)
    examples = tuple(map(_curve, islice(whole, min(MOST, _EPOCHS // epochs))))
    if len(examples) < rule.examples:
        return None
    return EarlyEnd(best=best.worth, confidence=rule.confidence, examples=examples)


def _curve(trial: Trial) -> LearningCurve:
    return LearningCurve(
        params=trial.params or 0,
        macs=trial.macs or 0,
        layers=len(parse_net(trial.net)),
        accuracies=tuple(trial.curve),
    )
