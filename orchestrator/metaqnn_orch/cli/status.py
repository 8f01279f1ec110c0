"""metaqnn-orch status RUN"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.jobs import cluster_of
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.vigil import refuse_unbegun
from metaqnn_orch.application.watching import watch as follow
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.cli.view import Terminal
from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.losses import in_words
from metaqnn_orch.errors import NotFound
from metaqnn_orch.reporting.summary import read_known, reward_name, shown_reward, status_of

_NOTHING: Final = (None, "", 0)
_SAID_AT_ZERO: Final = ("epsilon", "told", "unique", "journal position")


def status(
    run: options.Run,
    store: options.Store,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show the run live until it has ended.")] = False,
    output: options.Output = Format.TABLE,
    release: Release | None = None,
) -> None:
    """Show the state of a run.

    It prints the method, counters, epsilon where the method has one, the best net, and the digest of what the searcher
    believes. It reads the store and changes nothing, whether the run is going on or not.

    \b
    Counters
      in_flight      trials in training
      waiting        trials that wait for the next session
      queued         nets that were put in by hand, and wait
      told           results that the searcher was told
      unique         different nets that were trained
      failed         trials that were abandoned
      attempts_lost  lost attempts that were charged
      disruptions    lost attempts that were free
      lost           both, by how they ended
      last_lost      why the last one was lost
      losses         the same, since when, and the last
      lost_in_a_row  lost attempts since the last result
      braked_since   since when launching pauses (the brake)
      estimated      rewards that were estimated
      stopped_early  rewards that were predicted
      late_results   results of abandoned trials
      confirmations  repeated trainings of the best
      trouble        what the search waits for

    Most counters that are 0, and what is not known, are left out; -o json has everything.

    --watch shows what `start` shows while it searches, wherever the search runs: a live screen on a terminal, otherwise
    a line for each event.
    """
    opened = open_store(store)
    if watch:
        try:
            follow(opened, run, Terminal())
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    try:
        view = read_known(opened, run)
    except NotFound:
        if release is not None:  # perhaps its Job says why there is none yet
            refuse_unbegun(cluster_of(release.namespace, release.context), run, store)
        raise
    found = status_of(opened, view, read_holder(opened, run))
    if output is Format.JSON:
        print_json(found)
        return
    fields: dict[str, Any] = {**found}
    best = fields.pop("best")
    if view.state.epsilon is None:
        del fields["epsilon"]
    fields["lost"] = ", ".join(f"{count} {kind}" for kind, count in fields["lost"].items())
    fields["losses"] = "; ".join(in_words(kind, spell) for kind, spell in view.state.losses.spells.items())
    if (confirmations := fields.pop("confirmations")) is not None:
        fields["confirmations"] = f"{confirmations.done} of {confirmations.all}"
    rows: list[tuple[str, object]] = [(name.replace("_", " "), value) for name, value in fields.items()]
    if best is not None:
        rows += [
            ("best net", best["net"]),
            ("best trial", best["trial"]),
            (reward_name(view.state.settings), shown_reward(view.state.trials[best["trial"]])),
        ]
    print_fields((name, value) for name, value in rows if value not in _NOTHING or name in _SAID_AT_ZERO)
