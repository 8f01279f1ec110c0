"""Trains trials again, exactly as they were trained, because their weights were lost, damaged or removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from metaqnn_orch.errors import NotFound
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings

SECTIONS: Final = ("execution", "budget", "tracking")  # what may differ from the run's settings


def again(source: RunView, trials: Sequence[str]) -> Settings:
    """The run's own settings, with a list of these trials' nets in place of the search.

    Raises:
        NotFound: it has no such trial.
    """
    record = source.record
    missing = [trial for trial in trials if trial not in source.state.trials]
    if missing:
        raise NotFound(f"run {record.run} has no trial {missing[0][:40]!r}", hint="metaqnn-orch trials lists them")
    chosen = [source.state.trials[trial] for trial in dict.fromkeys(trials)]
    begun = dict(zip(source.state.settings.nets, source.state.settings.initial, strict=False))
    initial = [begun[trial.net].model_dump(mode="json") for trial in chosen if trial.net in begun]
    values: dict[str, Any] = {**record.settings, "warm_start": {}, "finals": {}, "initial": initial}
    return parse_settings({**values, "nets": [trial.net for trial in chosen]})
