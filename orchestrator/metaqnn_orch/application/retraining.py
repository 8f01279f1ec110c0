"""Trains trials again, exactly as they were trained, because their weights were lost, damaged or removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from metaqnn_orch.application.naming import find_trial
from metaqnn_orch.control.record import check_plugins
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import parse_settings

SECTIONS: Final = ("execution", "budget", "tracking")  # what may differ from the run's settings


def again(source: RunView, trials: Sequence[str], store: str) -> Settings:
    """The run's own settings, with a list of these trials' nets in place of the search, and with the recipe and the
    initial weights of each. `store` is the address of the store.

    Raises:
        NotFound: it has no such trial.
        BadInput: two of them are of one design, or one may be several trials.
        RunConflict: other plug-ins are installed than the run began with.
    """
    record = source.record
    check_plugins(record, source.state.settings)
    chosen = {trial.trial: trial for trial in (find_trial(source, text, store) for text in trials)}.values()
    first: dict[str, str] = {}
    for trial in chosen:
        if (other := first.setdefault(trial.net, trial.trial)) != trial.trial:
            raise BadInput(
                f"trials {other} and {trial.trial} are of one design, {trial.net}",
                hint="one at a time, and the second with another --name",
            )
    begun = dict(zip(source.state.settings.nets, source.state.settings.initial, strict=False))
    initial = [trial.initial or begun.get(trial.net) for trial in chosen]
    values: dict[str, Any] = {**record.settings, "warm_start": {}, "finals": {}}
    values["nets"] = [trial.net for trial in chosen]
    values["initial"] = [ref and ref.model_dump(mode="json") for ref in initial] if any(initial) else []
    values["changes"] = [trial.recipe for trial in chosen] if any(trial.recipe for trial in chosen) else []
    return parse_settings(values)
