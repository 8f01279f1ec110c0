"""metaqnn-orch track RUN"""

from __future__ import annotations

import os

from metaqnn_orch.application.run_files import RunFiles
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import say, tell
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import read_only
from metaqnn_orch.reporting.tracking import show_run, trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.contract.text import amount


def track(
    run: options.Run, store: options.Store, mlflow: options.Mlflow = None, tensorboard: options.Tensorboard = None
) -> None:
    """Copy a run to MLflow or TensorBoard.

    It only reads the store, whether the run goes on or not. What was copied before is left as it is, so you may repeat
    the command. `start` with the same options does this while it searches.
    """
    wanted = TrackingSettings(mlflow=mlflow, tensorboard=tensorboard)
    makers = trackers(wanted, tell)
    if not makers:
        raise BadInput("no tracker is named", hint="--mlflow URI or --tensorboard DIR")
    # MLflow's client by default makes seven tries, which take minutes; in a search that is fine, as nobody waits.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    opened = open_store(store)
    view = read_only(opened, run)
    shown = show_run(opened, view, makers, RunFiles(opened, view, say), tell)
    say(f"{amount(shown, 'trial')} of run {run} {'was' if shown == 1 else 'were'} copied")
