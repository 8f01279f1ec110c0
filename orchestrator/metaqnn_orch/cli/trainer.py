"""metaqnn-orch trainer check"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.trainer_check.bench import DEFAULTS, Limits
from metaqnn_orch.application.trainer_check.registry import Check, Checked, CheckMark
from metaqnn_orch.application.trainer_check.suite import check_trainer, chosen
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_lines, print_wrapped, say

HELP: Final = "Train with a program of your own."

# Options before COMMAND are this command's; everything after it is passed to the program.
COMMAND_LINE: Final[dict[str, Any]] = {"allow_interspersed_args": False}

_SIGNS: Final = {CheckMark.PASSED: "✓", CheckMark.WARNED: "!", CheckMark.FAILED: "✗", CheckMark.NOT_TRIED: "?"}


def check(
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND...", help="The program, and its own first arguments.", show_default=False),
    ],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Make this check alone. May be repeated.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, max=86_400, help="What one run of the program may take.")
    ] = DEFAULTS.timeout,
    grace: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=1, max=3600, help="From SIGTERM to its end: execution.kubernetes.grace_seconds."
        ),
    ] = DEFAULTS.grace,
    output: options.Output = Format.TABLE,
) -> None:
    """Check whether a program is a trainer: whether it keeps the contract of docs/trainer.md.

    The program is run some twenty times as a Job runs it, `COMMAND... train --store=URI --run=R --trial=T --attempt=N`,
    with small requests, right ones and wrong ones, against a store in a temporary folder. It is asked to stop, and
    killed. Each check gets a tick, an exclamation mark for what is allowed but unwise, or a cross, with what was found,
    what was expected, and what to do. Nothing is left behind.

    Options of this command stand before COMMAND. The exit code is 1 if there is a cross.
    """
    wanted = chosen(only or ())
    made: list[Checked] = []

    def report(next_one: Check) -> None:
        say(f"{len(made) + 1}/{len(wanted)} {next_one.group}: {next_one.name}")

    with closing(check_trainer(command, wanted, Limits(timeout, grace), report)) as verdicts:
        for verdict in verdicts:
            made.append(verdict)
            if output is Format.TABLE:
                print_wrapped(_lines(verdict))
    counts = Counter(verdict.mark for verdict in made)
    if output is Format.JSON:
        print_json(made)
    else:
        print_lines([", ".join(f"{counts[mark]} {mark}" for mark in CheckMark if counts[mark])])
    if counts[CheckMark.FAILED]:
        raise typer.Exit(1)


def _lines(verdict: Checked) -> list[str]:
    lines = [f"{_SIGNS[verdict.mark]} {verdict.group}: {verdict.check}: {verdict.found}"]
    if verdict.expected:
        lines += [f"    {verdict.about}", f"    expected: {verdict.expected}"]
    if verdict.fix:
        lines.append(f"    what to do: {verdict.fix}")
    return lines
