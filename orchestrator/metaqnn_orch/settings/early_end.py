"""The settings of when a net is stopped before its last epoch."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from metaqnn_orch.settings.section import Section

Rule = Literal["prediction", "quarter"]

EXAMPLES: Final[dict[Rule, int]] = {"prediction": 60, "quarter": 15}
FEWEST: Final = 20  # examples for which the spread of a prediction means something


class EarlyEndSettings(Section):
    """Stops nets whose first epochs show that they are not among the best. The searcher is told what they would
    probably have reached. docs/early-end.md says when to use which rule, and when not to."""

    enabled: bool = False
    """Switches the rule on. It is never used in runs of finals."""
    rule: Rule = "prediction"
    """`prediction` stops a net as soon as it will probably not beat the best one (Baker, Gupta, Raskar, Naik 2017,
    arXiv 1705.10823). `quarter` stops a net that is not in the best third of the last hundred after a quarter of the
    epochs."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """With `prediction`, a net is stopped if the probability that it will not beat the best one is at least this."""
    examples: int | None = Field(None, ge=10, le=200)
    """How many nets must be trained to their end, since the rule was enabled, before it stops a net. Default: 60 for
    `prediction`, which needs at least 20, and 15 for `quarter`."""

    @model_validator(mode="after")
    def _a_prediction_has_a_spread(self) -> EarlyEndSettings:
        if self.rule == "prediction" and self.needed < FEWEST:
            raise ValueError(f"the rule prediction needs at least {FEWEST} examples, not {self.needed}")
        return self

    @property
    def needed(self) -> int:
        """How many nets must be trained to their end before the rule stops a net."""
        return EXAMPLES[self.rule] if self.examples is None else self.examples
