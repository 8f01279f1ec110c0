"""What messages tell people to type exists: every command and every option in the program's sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import metaqnn_orch
import metaqnn_trainer
from metaqnn_orch.settings.values import known_keys
from tests.cli.advice import HOLE, OPTIONS, OTHERS, check_advice, flags, without_store

TRAINERS: Final = re.compile(r"^--?[a-z-]+(=|$)")  # an argument that is passed to a program, and no sentence


class Sentence(NamedTuple):
    place: str
    text: str


ALL: Final = set().union(*OPTIONS.values())


def words_of(node: ast.AST) -> str:
    """The text of a string in the sources, with a HOLE for each part that is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def rendered(node: ast.AST) -> str:
    """The command that a call of next_command renders; empty where it is no such call."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "next_command"):
        return ""
    words, _, *more = node.args
    return " ".join(["metaqnn-orch", words_of(words) or HOLE, "--store", HOLE, *map(words_of, more)])


def sentences() -> Iterator[Sentence]:
    """Every text in the sources of both programs, except docstrings of modules and functions that are no commands."""
    for package in (metaqnn_orch, metaqnn_trainer):
        root = Path(package.__path__[0])
        for file in sorted(root.rglob("*.py")):
            tree = ast.parse(file.read_text("utf-8"))
            inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            for node in ast.walk(tree):
                text = rendered(node) or (words_of(node) if id(node) not in inside else "")
                if isinstance(node, ast.expr) and ("--" in text or "metaqnn-orch " in text):
                    yield Sentence(f"{file.relative_to(root.parent)}:{node.lineno}", text)


def wrong(text: str) -> Iterator[str]:
    """The commands and options in a text that do not exist."""
    own = OTHERS.split(text)[0]  # what follows another program's name is its own
    for command in re.finditer(r"metaqnn-orch ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?([^;`\n]*)", own):
        first, second, rest = command[1], command[2] or "", command[3]
        name = next((name for name in (f"{first} {second}".strip(), first) if name in OPTIONS), None)
        if name is None or (name in OPTIONS and not OPTIONS[name]):
            yield f"metaqnn-orch {first}"
        else:
            yield from (flag for flag in flags(rest) if flag not in OPTIONS[name])
    yield from (flag for flag in flags(own) if flag not in ALL)
    for key in re.findall(r"--set[ =']+([a-z_]+(?:\.[a-z_0-9]+)+)=", own):
        if key not in KNOWN and not any(known.startswith(f"{key}.") for known in KNOWN):
            yield f"--set {key}"


KNOWN: Final = set(known_keys())


def test_what_a_sentence_tells_to_type_exists() -> None:
    found = [(one.place, what) for one in sentences() if not TRAINERS.match(one.text) for what in wrong(one.text)]
    assert found == []


def test_every_command_with_arguments_is_told_with_its_store() -> None:
    # Docstrings, of modules too, only speak of commands.
    said = (one for one in sentences() if "`metaqnn-orch" not in one.text and not one.place.endswith(":1"))
    found = [(one.place, what) for one in said for what in without_store(one.text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (f"metaqnn-orch resume {HOLE} goes on with the run", True),
        ("try metaqnn-orch status RUN; then --store X", True),
        (f"metaqnn-orch runs rm {HOLE} --delete", True),
        (f"metaqnn-orch resume {HOLE} --store {HOLE} goes on", False),
        (f"metaqnn-orch attach {HOLE} --release a/b", False),
        ("metaqnn-orch start begins one", False),
        ("metaqnn-orch config show FILE", False),
    ],
)
def test_a_command_without_its_store_is_found(text: str, lost: bool) -> None:
    assert bool([*without_store(text)]) is lost


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("metaqnn-orch unknown RUN", "metaqnn-orch unknown"),
        ("see metaqnn-orch status RUN --wacht", "--wacht"),
        (f"metaqnn-orch pull {HOLE} --keep-jobs", "--keep-jobs"),
        ("add --luncher kubernetes", "--luncher"),
        ("--set execution.kubernetes.memroy=2Gi", "--set execution.kubernetes.memroy"),
    ],
)
def test_what_does_not_exist_is_found(text: str, what: str) -> None:
    assert what in list(wrong(text))


@pytest.mark.parametrize(
    "text",
    ["helm upgrade --reuse-values", "metaqnn-orch dataset push NAME --source DIR", "or --set finals.optimizer=sgd"],
)
def test_what_exists_is_let_pass(text: str) -> None:
    assert list(wrong(text)) == []


def test_an_option_that_the_hinting_command_lacks_is_found() -> None:
    init = ["init", "pets", "--store", "./runs"]
    with pytest.raises(AssertionError, match="init has no --set"):
        check_advice(init, "error: two\nhint: choose one: --set dataset.digest=0\n")
    check_advice(init, "error: two\nhint: --force replaces it; or metaqnn-orch start x --set dataset.digest=0\n")


def test_what_a_command_really_says_is_held_to_the_store_that_it_was_given() -> None:
    with pytest.raises(AssertionError, match="without the store"):
        check_advice(["status", "first", "--store", "./runs"], "metaqnn-orch resume first trains it\n", {})
    check_advice(["status", "first", "--store", "./runs"], "metaqnn-orch start begins one\n", {})
    check_advice(["status", "first", "--store", "./runs"], "metaqnn-orch resume first\n", {"METAQNN_STORE": "./runs"})
