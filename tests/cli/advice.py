"""What hints tell people to type, held to the commands that there are. Every command of the tests is held to this."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer.main

from metaqnn_orch.cli.app import COMMANDS, build_app

OTHERS: Final = re.compile(r"\b(helm|kubectl|pip|docker|git)\b")

_OWN: Final = re.compile(r"metaqnn-orch [^;]*")


def _options() -> dict[str, set[str]]:
    """The options of each command, by its full name."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, name: str) -> None:
        for leaf, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {leaf}".strip())
        found[name] = {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)}

    walk(typer.main.get_command(build_app()), "")
    return {name: {*own, "--help", "-h"} for name, own in found.items()}


OPTIONS: Final = _options()


def flags(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)


def check_advice(arguments: Sequence[str], err: str) -> None:
    """Fail where a command's hint tells to add an option that the command does not have."""
    command = next((name for name in (" ".join(arguments[:2]), " ".join(arguments[:1])) if name in COMMANDS), None)
    if command is not None:
        lacking = [*_lacking(command, err)]
        assert not lacking, f"{command} has no {', '.join(lacking)}, which its hint names: {err}"


def _lacking(command: str, err: str) -> Iterator[str]:
    for line in err.splitlines():
        if line.startswith("hint: "):
            here = _OWN.sub("", OTHERS.split(line)[0])  # what follows another command's name is that one's
            yield from (flag for flag in flags(here) if flag not in OPTIONS[command])
