from __future__ import annotations

from pathlib import Path

import pytest

from tests import built_in
from tests.cli.conftest import Cli


def test_the_moves_of_a_state_as_scripts_read_them(cli: Cli) -> None:
    first = cli("space", "digits", "--after", "[]", "-o", "json").json()
    assert first == {
        "actions": [
            *(f"C({filters},{kernel},1)" for filters in (16, 32, 64) for kernel in (1, 3, 5)),
            "GAP(10)",
            "SM(10)",
        ]
    }
    later = cli("space", "digits", "--after", "[C(16,3,1), P(2,2)]", "-o", "json").json()["actions"]
    assert not [action for action in later if action.startswith("P")]
    assert {"FC(128)", "FC(64)", "FC(32)", "GAP(10)", "SM(10)"} <= set(later)


def test_a_move_that_leads_nowhere_within_the_limits_is_not_offered(cli: Cli) -> None:
    limited = cli("space", "digits", "--after", "[]", "-o", "json", "--set=space.max_params=2000").json()["actions"]
    assert limited
    for action in limited:
        if not action.startswith(("GAP", "SM")):
            prefix = f"[{action}]"
            assert cli("space", "digits", "--after", prefix, "--set=space.max_params=2000").out, prefix
    assert len(limited) < 11


def test_lines_are_the_same_moves(cli: Cli) -> None:
    lines = cli("space", "digits", "--after", "[C(16,3,1)]").out.splitlines()
    assert lines == cli("space", "digits", "--after", "[C(16,3,1)]", "-o", "json").json()["actions"]


@pytest.mark.parametrize("net", ["[SM(10)]", "[C(16,3,1), GAP(10), SM(10)]"])
def test_nothing_follows_a_whole_net(net: str, cli: Cli) -> None:
    answer = cli("space", "digits", "--after", net)
    assert (answer.code, answer.out, answer.err) == (0, "", "nothing may follow: the design is complete\n")
    assert cli("space", "digits", "--after", net, "-o", "json").json() == {"actions": []}


def test_average_pooling_leaves_the_softmax(cli: Cli) -> None:
    assert cli("space", "digits", "--after", "[GAP(10)]", "-o", "json").json() == {"actions": ["SM(10)"]}


def test_the_authors_dropouts_may_stand_in_a_prefix(cli: Cli) -> None:
    plain = cli("space", "svhn", "--after", "[C(128,1,1), C(256,5,1)]")
    assert cli("space", "svhn", "--after", "[C(128,1,1), C(256,5,1), D(1,2)]") == plain
    assert plain.code == 0


@pytest.mark.parametrize("preset", built_in.PRESETS)
def test_every_space_can_be_said_in_words(preset: str, cli: Cli) -> None:
    out = cli("space", preset).out
    assert "from any state" in out
    assert cli("space", preset, "-o", "json").json()["classes"] in (10, 100)


def test_table_1_of_the_paper(cli: Cli) -> None:
    words = [line.split(maxsplit=1) for line in cli("space", "svhn").out.splitlines()]
    assert ["depth", "at most 12 layers before the termination"] in words
    assert ["convolution", "64, 128, 256, 512 filters; kernel sizes 1, 3, 5; strides 1"] in words
    assert ["pooling", "P(5,3), P(3,2), P(2,2); never first, never twice in a row"] in words
    assert ["limits", "none"] in words


def test_a_space_of_ones_own(tmp_path: Path, cli: Cli) -> None:
    own = tmp_path / "small.yaml"
    own.write_text("preset: digits\nspace: {convolution: {filters: [7], kernels: [3]}, terminations: [SM]}\n")
    assert cli("space", own, "--after", "[]", "-o", "json").json() == {"actions": ["C(7,3,1)", "SM(10)"]}


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ("[P(2,2)]", "[P(2,2)] is not in the space of digits: layer 1, P(2,2): a net does not begin with pooling"),
        ("[C(17,3,1)]", "layer 1, C(17,3,1): this layer is not in the space"),
        ("[C(16,3,1), SM(10), C(16,3,1)]", "column"),
        ("[C(16,3,1)", "column 11"),
        ("\x1b[2J", "column 1"),
        ("[" + "C(16,1,1), " * 100_000 + "C(16,1,1)]", "characters"),
    ],
)
def test_what_is_no_prefix_of_a_net_is_refused(after: str, says: str, cli: Cli) -> None:
    assert says in cli("space", "digits", "--after", after).refused()
