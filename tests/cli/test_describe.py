from __future__ import annotations

import pytest

from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from tests.cli.conftest import Cli


def test_a_net_layer_by_layer(cli: Cli) -> None:
    found = cli("describe", "[ C(32,3,1),P(2,2), FC(64), SM(10) ]", "--space", "digits", "-o", "json").json()
    assert found == {
        "net": "[C(32,3,1), P(2,2), FC(64), SM(10)]",
        "legal": True,
        "reason": None,
        "layers": [
            {"layer": "C(32,3,1)", "output_shape": [32, 8, 8], "params": 320, "macs": 18_432},
            {"layer": "P(2,2)", "output_shape": [32, 4, 4], "params": 0, "macs": 0},
            {"layer": "FC(64)", "output_shape": [64, 1, 1], "params": 32_832, "macs": 32_768},
            {"layer": "SM(10)", "output_shape": [10, 1, 1], "params": 650, "macs": 640},
        ],
        "params": 33_802,
        "macs": 51_840,
    }


def test_the_table(cli: Cli) -> None:
    assert cli("describe", "[C(32,3,1), P(2,2), SM(10)]", "--space", "digits").out.splitlines() == [
        "[C(32,3,1), P(2,2), SM(10)]",
        "layer      output  params    MACs",
        "C(32,3,1)  32x8x8     320  18,432",
        "P(2,2)     32x4x4       0       0",
        "SM(10)     10x1x1   5,130   5,120",
        "total               5,450  23,552",
        "legal in the space digits",
    ]


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ("[P(2,2), SM(10)]", "layer 1, P(2,2): a net does not begin with pooling"),
        ("[C(32,3,1), P(2,2), P(2,2), SM(10)]", "layer 3, P(2,2): pooling may not follow pooling"),
        ("[C(48,3,1), SM(10)]", "layer 1, C(48,3,1): this layer is not in the space"),
        ("[C(32,3,1), SM(7)]", "layer 2, SM(7): the space has 10 classes"),
        ("[" + "C(16,1,1), " * 7 + "SM(10)]", "layer 7, C(16,1,1): a net has at most 6 layers: only a termination may"),
        (
            "[C(64,3,1), C(64,3,1), SM(10)]",
            "layer 2, C(64,3,1): no net that begins like this stays within max_macs=1500000",
        ),
    ],
)
def test_an_illegal_net_is_described_all_the_same_with_its_reason(net: str, reason: str, cli: Cli) -> None:
    found = cli("describe", net, "--space", "digits", "-o", "json").json()
    assert found["legal"] is False
    assert found["reason"].startswith(reason)
    last = cli("describe", net, "--space", "digits").out.splitlines()[-1]
    assert last == f"not in the space digits: {found['reason']}"


def test_a_net_that_cannot_be_built_has_no_layers(cli: Cli) -> None:
    found = cli("describe", "[C(32,3,1), P(9,1), SM(10)]", "--space", "digits", "-o", "json").json()
    assert (found["legal"], found["layers"], found["params"]) == (False, [], 0)


def test_a_net_of_the_paper_has_the_published_size(cli: Cli) -> None:
    net = "[C(128,1,1), C(512,3,1), C(64,1,1), C(128,3,1), P(2,2), C(256,3,1), P(2,2), C(512,3,1), P(3,2), SM(10)]"
    found = cli("describe", net, "--space", "cifar10", "-o", "json").json()
    assert found["legal"]
    assert round(found["params"] / 1e6, 1) == 2.2


@pytest.mark.parametrize(
    ("net", "says"),
    [
        ("[C(32,3,1), SM(10)", "column 19"),
        ("[C(32,3,1), X(3), SM(10)]", "column 13"),
        ("[C(32,3,1)]", "column 11: a net ends in a softmax"),
        ("[C(32,3), SM(10)]", "column"),
        ("[C(32,3,-1), SM(10)]", "column"),
        ("[C(32,3,1.0), SM(10)]", "column"),
        ("[C(0,3,1), SM(10)]", "column"),
        ("[C(1e9,3,1), SM(10)]", "column"),
        ("[C(99999999999999999999,3,1), SM(10)]", "column"),
        ("[C(\u0663,3,1), SM(10)]", "column"),
        ("", "column 1"),
        ("[]", "column"),
        ("[" * 10_000, "column"),
        ("[" + "C(16,1,1), " * 100_000 + "SM(10)]", "characters"),
        ("'); import os", "column 1"),
        ("$(reboot)", "column 1"),
        ("{{ .Values }}", "column 1"),
        ("&a [*a]", "column 1"),
        ("[SM(10)]\x1b[2J", "column 9"),
    ],
)
def test_what_is_no_net_is_refused_with_the_column(net: str, says: str, cli: Cli) -> None:
    refusal = cli("describe", net, "--space", "digits").refused()
    assert says in refusal
    assert len(refusal) < 400


def test_the_authors_string(cli: Cli) -> None:
    plain = "[C(128,1,1), C(256,5,1), P(5,3), SM(10)]"
    theirs = "[C(128,1,1), C(256,5,1), D(1,2), P(5,3), SM(10)]"
    for net in (plain, theirs):
        answer = cli("describe", net, "--space", "svhn", "--dropout", "-o", "json")
        assert (answer.json()["net"], answer.json()["dropout"]) == (plain, theirs)
        assert cli("describe", net, "--space", "svhn", "--dropout").out.splitlines()[0] == theirs
    assert format_net(parse_net(theirs)) == plain
    assert "dropout" not in cli("describe", theirs, "--space", "svhn", "-o", "json").json()


@pytest.mark.parametrize(("space", "rule"), [("mnist-table-a1", "after_fc"), ("digits", "none")])
def test_the_authors_string_says_nothing_of_another_dropout(space: str, rule: str, cli: Cli) -> None:
    flags = ("--space", space, "--dropout", f"--set=recipe.dropout={rule}")
    refusal = cli("describe", "[SM(10)]", *flags).refused()
    assert refusal.endswith(f"but the recipe of {space} has recipe.dropout={rule}")


def test_limits_can_be_tried_out(cli: Cli) -> None:
    net, flags = "[C(32,3,1), SM(10)]", ("--space", "digits", "-o", "json")
    assert cli("describe", net, *flags).json()["legal"]
    found = cli("describe", net, *flags, "--set=space.max_params=1000").json()
    assert "max_params=1000" in found["reason"]
