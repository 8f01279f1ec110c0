"""What holds of every space: derive a class, say `spaces`, and the laws are tested on each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import islice
from random import Random
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.spaces.base import Cost, IllegalDesign, Space

OF_ANOTHER_KIND = DatasetInfo(name="other", train=1, validation=1, test=0, source="nothing that is known")
NUMBERS = st.lists(st.integers(0, 10**6), min_size=1, max_size=40)
LONGEST = 200  # moves; a walk that is longer has no end


# A space never changes, so that many examples may share one; and the laws are those of every class that inherits them.
LAWS = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)


def walked(space: Space, numbers: Sequence[int]) -> list[tuple[Any, Any]]:
    """A whole design: at each state the legal move that the next number says."""
    decisions: list[tuple[Any, Any]] = []
    state = space.start
    while state is not None:
        assert len(decisions) < LONGEST
        legal = space.legal(state)
        assert legal, f"nothing may follow {state}"
        move = legal[numbers[len(decisions) % len(numbers)] % len(legal)]
        decisions.append((state, move))
        state = space.step(state, move)
    return decisions


class SpaceBehaviour:
    """The laws of a space. Of one whose options follow from datasets, `datasets` are some of the right kind."""

    datasets: ClassVar[Sequence[DatasetInfo]] = ()

    @pytest.fixture
    def space(self) -> Space:
        raise NotImplementedError

    @settings(LAWS, max_examples=15)
    @given(numbers=NUMBERS)
    def test_moves_are_told_apart_and_none_is_objected_to(self, space: Space, numbers: list[int]) -> None:
        for state, _ in walked(space, numbers):
            legal = space.legal(state)
            assert len({str(move) for move in legal}) == len(set(legal)) == len(legal)
            assert list(legal) == list(space.legal(state))
            assert [space.objection(state, move) for move in legal] == [None] * len(legal)
            hash(space.key(state))

    @settings(LAWS, max_examples=15)
    @given(numbers=NUMBERS)
    def test_a_text_says_all_of_a_design(self, space: Space, numbers: list[int]) -> None:
        decisions = walked(space, numbers)
        moves = [move for _, move in decisions]
        text = space.text(moves)
        assert text.isprintable()
        assert len(text) <= 4096
        assert space.parse(text) == moves
        assert space.canonical(text) == text
        assert space.walk(text) == decisions
        assert space.after(text) is None

    @settings(LAWS, max_examples=15)
    @given(numbers=NUMBERS)
    def test_the_beginning_of_a_design_has_a_text_too(self, space: Space, numbers: list[int]) -> None:
        decisions = walked(space, numbers)
        for length in range(0, len(decisions), 1 + len(decisions) // 8):
            state, _ = decisions[length]
            beginning = space.text([move for _, move in decisions[:length]])
            assert space.after(beginning) == state
            assert space.walk(beginning) == decisions[:length]
            assert space.following(beginning) == [str(move) for move in space.legal(state)]

    @settings(LAWS, max_examples=15)
    @given(numbers=NUMBERS)
    def test_every_legal_design_can_be_described(self, space: Space, numbers: list[int]) -> None:
        text = space.text([move for _, move in walked(space, numbers)])
        parts = space.describe(text)
        assert parts
        assert sum((part.cost for part in parts), Cost(0, 0)) == space.cost(text)
        assert min(space.cost(text)) >= 0
        measures = space.measures(text)
        assert {"params", "macs"} <= measures.keys()
        assert all(math.isfinite(value) for value in measures.values())

    @settings(LAWS, max_examples=8)
    @given(numbers=NUMBERS)
    def test_neighbours_are_other_legal_designs(self, space: Space, numbers: list[int]) -> None:
        text = space.text([move for _, move in walked(space, numbers)])
        found = list(islice(space.neighbours(text), 20))
        assert text not in found
        assert len(set(found)) == len(found)
        assert found == list(islice(space.neighbours(text), 20))
        for other in found:
            assert space.after(other) is None
            assert space.canonical(other) == other

    @settings(LAWS, max_examples=8)
    @given(numbers=NUMBERS)
    def test_a_mutation_is_another_legal_design_and_follows_from_the_generator(
        self, space: Space, numbers: list[int]
    ) -> None:
        text = space.text([move for _, move in walked(space, numbers)])
        found = [space.mutated(text, Random(f"{seed}")) for seed in range(8)]
        assert found == [space.mutated(text, Random(f"{seed}")) for seed in range(8)]
        assert any(other != text for other in found) or not list(islice(space.neighbours(text), 1))
        for other in found:
            assert space.after(other) is None
            assert space.canonical(other) == other

    @settings(LAWS, max_examples=8)
    @given(numbers=NUMBERS)
    def test_features_are_finite_numbers_that_tell_designs_apart(self, space: Space, numbers: list[int]) -> None:
        text = space.text([move for _, move in walked(space, numbers)])
        features = space.features(text)
        assert all(math.isfinite(value) for value in features.values())
        assert features == space.features(text)
        others = list(islice(space.neighbours(text), 20))
        assert not others or any(space.features(other) != features for other in others)

    @settings(LAWS, max_examples=8)
    @given(numbers=NUMBERS)
    def test_nothing_follows_a_whole_design(self, space: Space, numbers: list[int]) -> None:
        moves = [move for _, move in walked(space, numbers)]
        assert space.following(space.text(moves)) == []
        with pytest.raises((IllegalDesign, ValueError)):
            space.walk(space.text([*moves, moves[0]]))

    def test_the_rules_can_be_said(self, space: Space) -> None:
        words = space.words()
        assert words
        assert all(name and sentence for name, sentence in words)

    def test_what_follows_from_a_dataset_fits_it(self, space: Space) -> None:
        options = TypeAdapter[Any](type(space.options))
        for info in self.datasets:
            assert space.follows
            found = {name: find(info, None) for name, find in space.follows.items()}
            assert None not in found.values()
            made = type(space)(
                options.validate_json(json.dumps({**options.dump_python(space.options, mode="json"), **found})),
                space.model,
            )
            assert made.mismatches(info) == {}
            assert {name: find(info, found[name]) for name, find in space.follows.items()} == found

    def test_nothing_follows_from_a_dataset_of_another_kind(self, space: Space) -> None:
        assert {find(OF_ANOTHER_KIND, None) for find in space.follows.values()} <= {None}
        wrong = space.mismatches(OF_ANOTHER_KIND)
        assert bool(wrong) == bool(space.follows)
        assert wrong.keys() <= {f"space.{name}" for name in space.follows}
        assert {found for _, found in wrong.values()} <= {None}
        json.dumps([said for said, _ in wrong.values()], allow_nan=False)
