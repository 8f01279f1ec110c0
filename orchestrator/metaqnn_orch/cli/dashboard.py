"""metaqnn-orch dashboard [RUN]"""

from __future__ import annotations

import webbrowser
from typing import Annotated, Final, TypedDict

import typer

from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import Format, print_json, say
from metaqnn_orch.cli.stores import caution_absent, open_store
from metaqnn_orch.control.record import load_record
from metaqnn_orch.dashboard.serving import Listening, serve

PORT: Final = 8080


class DashboardAddress(TypedDict):
    """Where a dashboard listens."""

    url: str
    """Address of its first page, with the token where there is one."""
    host: str
    """The machine's name or address."""
    port: int
    """The port."""
    token: str | None
    """The token that protects the pages; None where none does."""


def dashboard(
    store: options.Store,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="The run to show first (default: a list).",
            show_default=False,
            autocompletion=completion.run,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. On any but this machine's own (127.0.0.1) a browser needs the token that is "
            "printed.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65_535, help="Port; 0 takes a free one.")] = PORT,
    answer_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Host name under which the pages are reached, e.g. behind a proxy. May be repeated."
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    output: options.Output = Format.TABLE,
) -> None:
    """Show the runs of a store in a browser, live.

    The pages show every run: how far it is, its best nets, learning curves, all trials, what the searcher believes, the
    front of two measures, and the files of each trial. They only read, and load nothing from other servers. Ctrl-C ends
    the dashboard, and no run.

    Without --host only this machine can open the pages. Elsewhere a random token protects them, or the one in
    METAQNN_DASHBOARD_TOKEN. -o json prints where the dashboard listens, as one object.

    Needs pip install 'metaqnn-orch[dashboard]'.
    """
    opened = open_store(store)
    if run is not None:
        load_record(opened, run)
    caution_absent(opened)
    path = f"/runs/{run}" if run is not None else "/"

    def listening(where: Listening) -> None:
        if output is Format.JSON:
            told: DashboardAddress = {
                "url": where.url(path),
                "host": where.host,
                "port": where.port,
                "token": where.token or None,
            }
            print_json(told)
        else:
            say(f"the dashboard of {opened.uri}: ", (where.url(path, shown=True), "bold"))
            say("Ctrl-C ends it")
        if open_browser:
            webbrowser.open(where.url(path))

    try:
        serve(opened, host=host, port=port, names=answer_to or [], listening=listening)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
