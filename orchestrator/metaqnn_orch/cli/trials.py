"""metaqnn-orch trials RUN"""

from __future__ import annotations

from typing import Final

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import RowFormat, print_csv, print_json, print_rows
from metaqnn_orch.reporting.summary import TRIAL_FIELDS, read_run, trial_row
from metaqnn_trainer.store.opening import open_store

# The net comes last: it alone may be longer than a line.
_COLUMNS: Final = {
    "trial": "",
    "state": "",
    "epsilon": ".2f",
    "val_accuracy": ".4f",
    "params": ",d",
    "seconds": ".1f",
    "attempts": "d",
    "net": "",
}


def trials(run: options.Run, store: options.Store, output: options.RowOutput = RowFormat.TABLE) -> None:
    """List the trials of a run.

    In the order of their proposal. `state` is in_flight, completed, untrainable, too_large, timed_out, stopped_early or
    abandoned. `estimated` says that a table did not have the net, and made up its accuracy from those most like it.
    The accuracy of a net that was stopped early is foretold: `measured` is what it had, `predicted` what was expected
    of it, with a standard deviation of `spread`.
    """
    rows = [trial_row(trial) for trial in read_run(open_store(store), run).state.trials.values()]
    if output is RowFormat.JSON:
        print_json(rows)
    elif output is RowFormat.CSV:
        print_csv(TRIAL_FIELDS, rows)
    else:
        columns = {name.replace("_", " "): form for name, form in _COLUMNS.items()}
        for row in rows:
            row["state"] += ", estimated" if row["estimated"] else ""
            row["state"] += f" at {row['measured']:.4f}" if row["measured"] is not None else ""
        print_rows(columns, [[row[name] for name in _COLUMNS] for row in rows])
