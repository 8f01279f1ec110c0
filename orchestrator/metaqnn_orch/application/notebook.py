"""Trials in a notebook: a cell that ends with one shows it as a table."""

from __future__ import annotations

import sys
from html import escape

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.markup import curve, facts


def show_trials() -> None:
    """Have the running notebook, if there is one, show trials as `trial_html` does from now on."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type(Trial, trial_html)


def trial_html(trial: Trial) -> str:
    """What is known of a trial, as HTML."""
    reward = "" if trial.reward is None else f"{trial.reward:.4f}"
    found = {
        "trial": trial.trial,
        "net": f"<code>{escape(trial.net)}</code>",
        "state": trial.state.replace("_", " "),
        "reward": f"{reward} {curve(trial.curve, min(trial.curve, default=0.0), max(trial.curve, default=1.0))}",
        "parameters": "" if trial.params is None else f"{trial.params:,}",
        "multiply-accumulates": "" if trial.macs is None else f"{trial.macs:,}",
        "seconds": "" if trial.seconds is None else f"{trial.seconds:,.1f}",
        "trouble": escape(trial.trouble),
    }
    return facts((name, value) for name, value in found.items() if value.strip())
