"""metaqnn-orch trials RUN"""

from __future__ import annotations

from typing import Final

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import RowFormat, print_csv, print_json, print_rows
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.reporting.summary import Rows, goes_on, read_only, reward_name, trial_rows, trial_table

# The net comes last: it alone may be longer than a line.
_COLUMNS: Final = {
    "trial": "",
    "state": "",
    "epsilon": ".2f",
    "reward": ".4f",
    "params": ",d",
    "seconds": ".1f",
    "attempts": "d",
    "net": "",
}


def trials(run: options.Run, store: options.Store, output: options.RowOutput = RowFormat.TABLE) -> None:
    """List the trials of a run.

    In the order of their proposal. `state` is in_flight, waiting (in flight, but nobody works on the run), completed,
    untrainable, too_large, timed_out, stopped_early or abandoned. `estimated` says that a table did not have
    the net, and made up its reward from those most like it.
    The reward of a net that was stopped early is foretold: `measured` is what it had, `predicted` what was expected
    of it, with a standard deviation of `spread`. The reward is called val accuracy where it is that.

    `macs` are multiply-accumulates of one example. `started` and `ended` are moments: `ended` is when the journal had
    the end, and `started` is `seconds` before it; imported rewards have none.

    A trial that was repeated to confirm it has `trainings`, their `mean_reward`, and `confirmed`: whether the mean
    decides its rank. One that repeats another has that one's id in `confirms`.

    One that a person put into the search has `by hand` for its epsilon, in JSON as its `origin`.

    In JSON `measures` holds all that was measured; in CSV each measure has a column of its own, `measure.NAME`.
    """
    opened = open_store(store)
    state = read_only(opened, run).state
    works = goes_on(opened, run, state)
    if output is RowFormat.JSON:
        print_json(trial_rows(state, works=works))
    elif output is RowFormat.CSV:
        print_csv(*trial_table(state, works=works))
    else:
        rows: Rows = [{**row} for row in trial_rows(state, works=works)]
        words = {"reward": reward_name(state.settings)}
        shown = [name for name in _COLUMNS if name != "epsilon" or any(row[name] is not None for row in rows)]
        columns = {words.get(name, name): _COLUMNS[name] for name in shown}
        for row in rows:
            row["epsilon"] = row.get("origin", row["epsilon"])
            row["state"] += ", estimated" if row["estimated"] else ""
            row["state"] += f", confirms {row['confirms']}" if "confirms" in row else ""
            row["state"] += f", mean {row['mean_reward']:.4f} of {row['trainings']}" if "trainings" in row else ""
            row["state"] += f" at {row['measured']:.4f}" if row["measured"] is not None else ""
        print_rows(columns, [[row[name] for name in shown] for row in rows])
