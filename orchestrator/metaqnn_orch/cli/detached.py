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
    """A search that goes on in the background, or that had nothing left to do."""

    run: str
    """Name of the run."""
    pid: int
    """Number of its process on this machine; of one that has ended, the number that it had."""
    log: str
    """Path of its log; empty where the search has ended, because all that it said was printed."""
    ended: bool
    """Whether the search has ended already, as where the run was complete before; `status` says how it stands."""


def start_detached(arguments: Sequence[str], store: Store, run: str, output: Format) -> None:
    """Start the same command in the background, and say how to follow it and how to stop it.

    Raises:
        typer.Exit: the search ended before it worked on the run; what it said was passed on, and this is its exit code.
        BadInput: its log cannot be written.
    """
    found = search_in_background(_in_words(arguments), store, run, tell)
    if found.code:
        raise typer.Exit(found.code)
    ended = found.code is not None
    if output is Format.JSON:
        log = "" if ended else str(found.log)
        made: DetachedRun = {"run": run, "pid": found.process.pid, "log": log, "ended": ended}
        print_json(made)
        return
    if ended:
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


def _in_words(arguments: Sequence[str]) -> list[str]:
    """The command that searches: its log is for people, whatever format was asked for."""
    same = [argument for argument in arguments if argument != FLAG]
    end = same.index("--") if "--" in same else len(same)
    return [*same[:end], "--output", Format.TABLE, *same[end:]]
