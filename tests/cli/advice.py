"""What hints tell people to type, held to the commands that there are. Every command of the tests is held to this."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any, Final

import typer.main

from metaqnn_orch.cli.app import COMMANDS, build_app

OTHERS: Final = re.compile(r"\b(helm|kubectl|pip|docker|git)\b")

STORED: Final = {name for name, (command, _) in COMMANDS.items() if "store" in signature(command).parameters}
"""The commands that need a store."""
_TYPED: Final = re.compile(r"metaqnn-orch ([a-z-]+)(?: ([a-z-]+))?([^;\n]*)")
_PLACES: Final = re.compile(r"--(store|release)\b")
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
HOLE: Final = "\x00"  # stands for what a message fills in


def flags(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)


def check_advice(arguments: Sequence[str], err: str, environment: Mapping[str, str] = os.environ) -> None:
    """Fail where a command's hint tells to add an option that the command does not have, and where it says a command
    that would not find the store which this one was given.
    """
    command = next((name for name in (" ".join(arguments[:2]), " ".join(arguments[:1])) if name in COMMANDS), None)
    if command is not None:
        lacking = [*_lacking(command, err)]
        assert not lacking, f"{command} has no {', '.join(lacking)}, which its hint names: {err}"
    if "METAQNN_STORE" not in environment and any(word.startswith("--store") for word in arguments):
        lost = [*without_store(err, arguments)]
        assert not lost, f"this was said without the store: {lost}"


def without_store(text: str, words: Collection[str] = ()) -> Iterator[str]:
    """The commands in a text that a person would type without saying where the store is. A command that is only spoken
    of has no argument: none that stands for one, and none of these words.
    """
    for line in text.splitlines():
        for said in _TYPED.finditer("" if " --help" in line else line):  # beside that is an example with its own store
            both = f"{said[1]} {said[2]}"
            name, rest = (both, said[3]) if both in OPTIONS else (said[1], f"{said[2] or ''}{said[3]}")
            first = (rest.split() or [""])[0]
            is_typed = first in words or first.startswith(HOLE) or first.isupper()
            if is_typed and name in STORED and not _PLACES.search(rest):
                yield said[0]


def _lacking(command: str, err: str) -> Iterator[str]:
    for line in err.splitlines():
        if line.startswith("hint: "):
            here = _OWN.sub("", OTHERS.split(line)[0])  # what follows another command's name is that one's
            yield from (flag for flag in flags(here) if flag not in OPTIONS[command])
