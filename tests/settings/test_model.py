from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.search import schedule
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.values import differences, flatten, known_keys, origin, parse_settings

SMALL: dict[str, Any] = {"dataset": {"name": "x"}, "space": {"image_size": 8, "channels": 1, "classes": 10}}

words = st.text("abc_", min_size=1, max_size=3)
leaves: st.SearchStrategy[Any] = (
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.just({})
)
nested = st.dictionaries(
    words, st.recursive(leaves, lambda inner: st.dictionaries(words, inner, max_size=3)), max_size=3
)


def small(**sections: Any) -> Settings:
    return parse_settings({**SMALL, **sections})


def test_the_defaults_are_the_papers() -> None:
    settings = small()
    assert settings.goal == 2700
    assert [phase.epsilon for phase in settings.schedule.phases] == [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert asdict(settings.agent) == {"q_initial": 0.5, "learning_rate": 0.01, "discount": 1, "replay_draws": 100}
    assert settings.recipe.epochs == 20
    assert settings.space.convolution.filters == (64, 128, 256, 512)


def test_a_run_can_be_shorter_than_its_schedule_but_not_longer() -> None:
    phases = {"phases": [{"epsilon": 1.0, "unique": 6}, {"epsilon": 0.1, "unique": 4}]}
    assert small(schedule=phases).goal == 10
    assert small(schedule=phases, execution={"max_trials": 7}).goal == 7
    assert small(schedule=phases, execution={"max_trials": 70}).goal == 10


def test_a_schedule_is_stretched_or_shrunk_to_a_total() -> None:
    phases = [{"epsilon": 1.0, "unique": 6}, {"epsilon": 0.1, "unique": 4}]
    shrunk = small(schedule={"phases": phases, "total": 5})
    assert shrunk.goal == 5
    assert shrunk.schedule.resolve() == (schedule.EpsilonPhase(1.0, 3), schedule.EpsilonPhase(0.1, 2))
    assert small(schedule={"total": 40}).goal == 40


def test_how_the_work_is_done_is_no_part_of_the_identity() -> None:
    assert small(execution={"parallel": 7, "max_trials": 3, "retries": 0}).identity() == small().identity()
    assert small(finals={"optimizer": "sgd"}).identity() == small().identity()
    assert small(seed=1).identity() != small().identity()


def test_settings_come_back_from_their_identity() -> None:
    settings = small(
        recipe={"learning_rate": 0.1, "adam_betas": [0.1, 0.2]}, space={**SMALL["space"], "max_macs": 10**6}
    )
    assert parse_settings(json.loads(json.dumps(settings.identity()))) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        small().seed = 3  # type: ignore[misc]


def test_every_setting_that_can_be_given_is_known() -> None:
    given_ones = {key for key, _ in flatten(small().model_dump(mode="json"))}
    assert given_ones <= set(known_keys())
    assert set(known_keys()) - given_ones == set()


def test_an_error_names_the_nearest_source() -> None:
    values = {**SMALL, "recipe": {"epochs": "x"}}
    for origins, source in (
        ({"recipe.epochs": "the flag", "recipe": "the file"}, " (from the flag)"),
        ({"recipe": "the file"}, " (from the file)"),
        ({"seed": "the file"}, ""),
        ({}, ""),
    ):
        with pytest.raises(SettingsError) as refused:
            parse_settings(values, origins)
        assert str(refused.value) == f'recipe.epochs must be a whole number, got "x"{source}'


def test_a_section_of_several_sources_is_blamed_on_none() -> None:
    values = {**SMALL, "space": {**SMALL["space"], "image_size": 0}}
    with pytest.raises(SettingsError) as refused:
        parse_settings(values, {"space.image_size": "one", "space.classes": "another", "": "the file"})
    assert str(refused.value) == "space: image_size must be between 1 and 4096"


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), [float("nan")]])
def test_values_that_no_text_holds_are_refused(value: object) -> None:
    with pytest.raises(SettingsError, match="neither text, number, list nor mapping"):
        parse_settings({**SMALL, "seed": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_without_end_are_refused_with_their_source(value: float) -> None:
    with pytest.raises(SettingsError, match=rf"budget\.gpu_hours must be a finite number, got {value} \(from it\)"):
        parse_settings({**SMALL, "budget": {"gpu_hours": value}}, {"budget.gpu_hours": "it"})


def test_origin_walks_up() -> None:
    origins = {"a.b": "file", "a.b.c": "flag", "": "root"}
    assert [origin(key, origins) for key in ("a.b.c", "a.b.d", "a.b", "a", "x")] == [
        "flag",
        "file",
        "file",
        "root",
        "root",
    ]
    assert origin("x", {}) == ""


@given(nested)
def test_flattened_values_are_the_nested_ones(values: dict[str, Any]) -> None:
    rebuilt: dict[str, Any] = {}
    for key, value in flatten(values):
        *sections, leaf = key.split(".")
        place = rebuilt
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = value
    assert rebuilt == values


@given(nested, nested)
def test_differences_are_none_exactly_for_equal_values(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (differences(one, other) == []) == (one == other)
    assert len(differences(one, other)) == len(differences(other, one))


def test_a_difference_reads_from_before_to_after() -> None:
    before, after = {"a": {"b": 1, "gone": None}, "same": [1]}, {"a": {"b": "x"}, "same": [1], "new": 2.5}
    assert differences(before, after) == ['a.b: 1 -> "x"', "a.gone: null -> (absent)", "new: (absent) -> 2.5"]


def test_changes_to_the_recipe_are_one_for_each_net() -> None:
    assert small(nets=["[SM(10)]"], changes=[{"epochs": 3}]).changes == ({"epochs": 3},)
    with pytest.raises(SettingsError, match="changes has 2 entries, but nets has 1"):
        small(nets=["[SM(10)]"], changes=[{}, {}])
    with pytest.raises(SettingsError, match="epochs"):
        small(nets=["[SM(10)]"], changes=[{"epochs": 0}])


@pytest.mark.parametrize(
    ("sections", "complaint"),
    [
        ({"recipe": {"class_weights": [1.0, 2.0]}}, "recipe.class_weights has 2 weights, but there are 10 classes"),
        ({"finals": {"saturation": 0.1}}, "finals.saturation needs images with three channels, and these have 1"),
    ],
)
def test_a_recipe_has_to_fit_the_images(sections: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        small(**sections)
    assert small(recipe={"class_weights": [1.0] * 10, "contrast": 0.1}).recipe.class_weights == (1.0,) * 10
