from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, tree
from tests.control.world import Session, settings


def test_the_two_forms_say_the_same(finished: DirectoryStore, cli: Cli) -> None:
    found = cli("explain", "test", "--store", finished.uri, "-o", "json").json()
    assert list(found) == [
        "after",
        "epsilon",
        "moves",
        "choice",
        "trained",
        "best_trained",
        "best_reward",
        "best_accuracy",
        "findings",
    ]
    assert (found["after"], found["epsilon"], found["trained"], found["findings"]) == ("[]", 0.3, 12, [])
    assert sum(move["probability"] for move in found["moves"]) == pytest.approx(1)
    heading, *lines = cli("explain", "test", "--store", finished.uri).out.splitlines()
    assert " ".join(heading.split()) == "layer q value updates probability trained best accuracy completion"
    for line, move in zip(lines, found["moves"], strict=False):
        assert line.startswith(move["layer"] + " ")
        assert line.endswith(move["completion"])
        assert f"{move['q_value']:.4f}" in line.split()
    assert lines[len(found["moves"])] == ""
    said = "\n".join(lines[len(found["moves"]) :])
    assert found["choice"] in said
    assert found["best_trained"] in said


@pytest.mark.parametrize("after", ["[C(64,3,1)]", "C(64,3,1)", " [ C( 64,3,1 ) ] "])
def test_a_prefix_with_and_without_brackets(after: str, finished: DirectoryStore, cli: Cli) -> None:
    found = cli("explain", "test", "--store", finished.uri, "--after", after, "-o", "json").json()
    assert found["after"] == "[C(64,3,1)]"
    assert {"P(2,2)", "SM(10)", "GAP(10)"} <= {move["layer"] for move in found["moves"]}


def test_a_whole_net_leaves_no_choice(finished: DirectoryStore, cli: Cli) -> None:
    answer = cli("explain", "test", "--store", finished.uri, "--after", "[SM(10)]")
    assert answer.code == 0
    assert "nothing is left to choose: the design is complete" in answer.out


def test_before_anything_is_trained_everything_is_tied(store: DirectoryStore, cli: Cli) -> None:
    Session(store, settings()).open()
    found = cli("explain", "test", "--store", store.uri, "-o", "json").json()
    assert {move["q_value"] for move in found["moves"]} == {0.5}
    assert (found["trained"], found["best_trained"]) == (0, None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tset"], "no run 'tset' in"),
        (["A"], "run 'A' is not a valid name"),
        (["test", "--after", "X(1)"], "column 1: expected a layer"),
        (["test", "--after", "[C(64,3,1)"], "column 11: expected"),
        (
            ["test", "--after", "P(2,2)"],
            "[P(2,2)] is not in the space of the run: layer 1, P(2,2): ",
        ),
        (["test", "--after", "SM(10), SM(10)"], "column 9: nothing may follow the softmax"),
        (["test", "--after", "\x1b[2J"], "column 1"),
        (["test", "-o", "csv"], "invalid value for '--output'"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    arguments: list[str], says: str, finished: DirectoryStore, cli: Cli
) -> None:
    before = tree(Path(finished.uri))
    assert says in cli("explain", *arguments, "--store", finished.uri).refused()
    assert tree(Path(finished.uri)) == before
