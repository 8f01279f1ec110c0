"""metaqnn-orch enqueue RUN NET"""

from __future__ import annotations

from typing import Annotated, TypedDict

import typer

from metaqnn_orch.application.enqueuing import enqueue as put_in
from metaqnn_orch.application.enqueuing import what_trains_it
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, say, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.reporting.summary import goes_on, read_only, shown_reward, shown_state


class NetQueued(TypedDict):
    """What became of a net that was put into a search."""

    run: str
    """Name of the run."""
    trial: str
    """Id of its trial."""
    net: str
    """The net."""
    queued: bool
    """Whether it waits in the queue; false where the run has a trial of it already."""
    state: str
    """The state of its trial, or queued."""
    reward: float | None
    """Reward of its trial; None before the result."""


def enqueue(
    run: options.Run,
    net: Annotated[
        str, typer.Argument(metavar="NET", help="A net, e.g. '[C(64,3,1), P(2,2), SM(10)]'.", show_default=False)
    ],
    store: options.Store,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
) -> None:
    """Train a net of your own in a search.

    The search trains it before it asks its searcher again, and the searcher learns from it as from a net that it
    proposed. It counts as one of the run's nets. This works while the search goes on, and while it stands. `--set
    recipe.KEY=VALUE` changes the recipe for this net alone. The same net is trained once: of one that the run has
    already, the command says what became of it.
    """
    options.refuse_other_sections(assignments or [], ("recipe",), "for example --set recipe.epochs=40")
    opened = open_store(store)
    view = read_only(opened, run)
    made = put_in(opened, view, net, assignments or [])
    works = goes_on(opened, run, view.state)
    if output is Format.JSON:
        known = made.known
        told: NetQueued = {
            "run": run,
            "trial": made.trial,
            "net": made.net,
            "queued": known is None,
            "state": "queued" if known is None else shown_state(known, works=works),
            "reward": None if known is None else known.reward,
        }
        print_json(told)
        return
    if made.known is not None:
        reward = f", {shown_reward(made.known)}" if made.known.reward is not None else ""
        state = shown_state(made.known, works=works).replace("_", " ")
        say(f"run {run} has this net: trial {made.trial}, {state}{reward}")
    else:
        words = what_trains_it(opened, view, made.trial, works=works)
        say(f"trial {made.trial} {'is in the queue' if made.is_new else 'was in the queue already'}; {typeable(words)}")
