"""start --detach: what the terminal says while the search moves into the background."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final, TypedDict

import typer

from metaqnn_orch.application.machine import search_in_background
from metaqnn_orch.cli.output import Format, print_json, say, tell, typeable
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.store.base import Store

FLAG: Final = "--detach"


class DetachedRun(TypedDict):
    """A search that goes on in the background."""

    run: str
    """Name of the run."""
    pid: int
    """Number of its process on this machine."""
    log: str
    """Path of its log."""


def start_detached(arguments: Sequence[str], store: Store, run: str, output: Format) -> None:
    """Start the same command in the background, and say how to follow it and how to stop it.

    Raises:
        typer.Exit: the search ended before it worked on the run; what it said was passed on, and this is its exit code.
        BadInput: its log cannot be written.
    """
    same = [argument for argument in arguments if argument != FLAG]
    found = search_in_background(same, store, run, tell)
    if found.code is not None:
        raise typer.Exit(found.code)
    if output is Format.JSON:
        made: DetachedRun = {"run": run, "pid": found.process.pid, "log": str(found.log)}
        print_json(made)
        return
    say(
        f"run {run} goes on in the background, as process {found.process.pid}; its log is {shlex.quote(str(found.log))}"
    )
    for command, purpose in (
        (f"attach {run}", "shows it; Ctrl-C ends only the view"),
        (f"logs {run}", "what it has said"),
        (f"cancel {run}", "stops it; the same start goes on"),
    ):
        say(typeable(f"  {next_command(command, store.uri)}   "), (f"# {purpose}", "dim"))
