"""metaqnn-orch mcp: a server for assistants."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import partial
from typing import Annotated, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.machine import search_in_background
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import tell
from metaqnn_orch.cli.stores import caution_absent, open_store
from metaqnn_orch.errors import BadInput
from metaqnn_orch.needs import need
from metaqnn_orch.settings.sources import without_settings

LEAST_HOURS: Final = 0.001  # with less, no trial could begin


class Act(StrEnum):
    """What an assistant may be allowed to do."""

    START = "start"
    CANCEL = "cancel"


def mcp(
    store: options.Store,
    allow: Annotated[
        list[Act] | None,
        typer.Option("--allow", help="Also allow this; may be repeated. Without it, assistants may only read."),
    ] = None,
    budget_trials: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Nets that all searches together may train that this server starts."),
    ] = None,
    budget_hours: Annotated[
        float | None,
        typer.Option(
            metavar="H",
            min=LEAST_HOURS,
            max=1e9,
            help="Hours of training, times the devices of a trial, of all of them.",
        ),
    ] = None,
    launcher: options.Launcher = LauncherName.LOCAL,
    release: Release | None = None,
) -> None:
    """Serve assistants by the Model Context Protocol.

    The tools are served on standard input and output. An assistant's client starts this command itself, and ends it;
    docs/mcp.md says how to register it. By default the tools only read: runs, trials, logs, reports, settings and
    designs of one store.

    With --allow start an assistant may also start searches, within a budget over all that this server starts: give
    --budget-trials, --budget-hours, or both. With --allow cancel it may stop runs. Each of the two is previewed, and
    needs the token of its preview. Searches go on in the background when the client leaves.

    Needs pip install 'metaqnn-orch[mcp]'.
    """
    acts = set(allow or ())
    budgeted = budget_trials is not None or budget_hours is not None
    if Act.START in acts and not budgeted:
        raise BadInput("--allow start needs a budget", hint="for example --budget-trials 20 --budget-hours 2")
    if budgeted and Act.START not in acts:
        raise BadInput("--budget-trials and --budget-hours are for --allow start", hint="add it, or leave them out")
    if launcher is LauncherName.TABLE:
        raise BadInput("an assistant starts no rehearsals", hint="leave out --launcher table")
    need("mcp", "metaqnn-orch mcp")
    from metaqnn_orch.mcp.acting import Cancelling, Starting  # the SDK takes a second to import
    from metaqnn_orch.mcp.allowance import Allowance
    from metaqnn_orch.mcp.reading import Reading
    from metaqnn_orch.mcp.server import serve

    if not store.startswith("s3://"):  # a bucket may lack its keys, which the tools then say
        caution_absent(open_store(store))
    opened = partial(open_store, store)
    reading = Reading(opened, launcher, release)
    tools = reading.tools()
    if Act.START in acts:
        # What was shown is started: variables that set settings would be stronger than the file with it.
        background = partial(search_in_background, relay=tell, environment=without_settings(os.environ))
        allowance = Allowance(budget_trials, budget_hours)
        tools += Starting(opened, reading, allowance, launcher, background, release).tools()
    if Act.CANCEL in acts:
        tools += Cancelling(opened, launcher, release).tools()
    serve(tools)
