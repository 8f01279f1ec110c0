"""The paper's dropout, against the strings that the authors recorded."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.spaces.cnn.dropout import dropout_places, format_with_dropout
from metaqnn_trainer.spaces.cnn.layer import Layer, Net
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import parse_net

REPLAY = Path(__file__).parents[4] / "shared" / "paper" / "replay_sample.csv"


@pytest.mark.skipif(not REPLAY.exists(), reason="the authors' replay memory is not here")
def test_every_recorded_net_comes_out_letter_for_letter() -> None:
    with REPLAY.open(newline="") as file:
        recorded = [row["net"] for row in csv.DictReader(file)]
    assert len(recorded) == 300
    assert [format_with_dropout(parse_net(text)) for text in recorded] == recorded


@pytest.mark.parametrize(
    "text",
    [
        "[SM(10)]",
        "[C(64,3,1), SM(10)]",
        "[C(128,1,1), C(256,5,1), D(1,2), P(5,3), SM(10)]",
        "[C(64,3,1), P(2,2), D(1,3), FC(128), D(2,3), SM(10)]",
        "[C(64,3,1), C(64,3,1), D(1,1), P(3,2), GAP(10), SM(10)]",
        # Batch normalisation does not count, and stands before the dropout of its convolution.
        "[C(64,3,1), BN(), C(64,3,1), BN(), D(1,1), AP(3,2), GAP(10), SM(10)]",
        "[RES(64,3,1), DSC(64,3,1), D(1,2), AP(3,2), SM(10)]",
    ],
)
def test_the_rule_by_hand(text: str) -> None:
    assert format_with_dropout(parse_net(text)) == text


def test_probabilities_rise_towards_the_end() -> None:
    places = dropout_places(parse_net("[C(64,3,1), P(2,2), C(64,3,1), P(2,2), FC(128), SM(10)]"))
    assert [(place.after, place.probability) for place in places] == [(1, 1 / 8), (3, 2 / 8), (4, 3 / 8)]


bodies = st.lists(st.one_of(st.just(Conv(64, 3, 1)), st.just(Pool(2, 2))), max_size=14)
ends = st.sampled_from([[], [FC(128)], [FC(128), FC(128)], [GAP(10)], [FC(128), GAP(10)]])


@given(bodies, ends)
def test_i_runs_from_one_and_never_beyond_n(body: list[Layer], end: list[Layer]) -> None:
    net: Net = (*body, *end, SM(10))
    places = dropout_places(net)
    assert [place.i for place in places] == list(range(1, len(places) + 1))
    assert all(0 < place.probability <= 0.5 for place in places)
    assert len({place.n for place in places}) <= 1
    assert not any(isinstance(net[place.after], GAP | SM) for place in places)
    assert {index for index, layer in enumerate(net) if isinstance(layer, FC)} <= {place.after for place in places}


@given(bodies, ends)
def test_a_net_is_the_same_without_its_dropout(body: list[Layer], end: list[Layer]) -> None:
    net: Net = (*body, *end, SM(10))
    text = format_with_dropout(net)
    assert parse_net(text) == net
    assert len(re.findall(r"D\(", text)) == len(dropout_places(net))
