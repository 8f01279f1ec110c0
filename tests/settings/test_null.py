"""A section that is null takes away what weaker sources say of it, as in Helm's values: its defaults hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.settings.presets import presets
from metaqnn_orch.settings.sources import Layered, continue_settings, in_force, load_settings
from metaqnn_orch.settings.values import defaults, flatten, parse_settings
from tests.control.world import settings

OBJECTIVE: Final = "preset: digits\nobjective: {soft_limits: {params: {reference: 9, weight: 1}}}\n"


def sections(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of all mappings in nested values."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield prefix + key
            yield from sections(value, f"{prefix}{key}.")


def said(preset: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(presets()[preset].read())
    return found


def outcome(name: str, *assignments: str) -> dict[str, Any] | str:
    """The settings; or what is wrong, without the source of it."""
    try:
        found = load_settings(name, {}, assignments, {})
    except SettingsError as error:
        return str(error).partition(" (from ")[0]
    return found.settings.model_dump(mode="json")


OF_PRESETS: Final = [(preset, section) for preset in presets() for section in sections(said(preset))]


@pytest.mark.parametrize(("preset", "section"), OF_PRESETS, ids=[":".join(pair) for pair in OF_PRESETS])
def test_of_every_preset_each_section_can_be_taken_away(preset: str, section: str, tmp_path: Path) -> None:
    without = said(preset)
    *outer, leaf = section.split(".")
    place = without
    for name in outer:
        place = place[name]
    del place[leaf]
    file = tmp_path / "without.yaml"
    file.write_text(yaml.safe_dump(without))
    assert outcome(preset, f"{section}=null") == outcome(str(file))


@pytest.mark.parametrize("section", [*sections(defaults().model_dump(mode="json"))])
def test_null_is_the_default_of_a_section_that_nobody_speaks_of(section: str) -> None:
    """Only the dataset is not optional."""
    if section == "dataset":
        assert outcome("digits", "dataset=null") == "dataset must be given"
        return
    found = load_settings("digits", {}, [f"{section}=null"], {}).settings.model_dump(mode="json")
    wanted: Any = defaults().model_dump(mode="json")
    for name in section.split("."):
        found, wanted = found[name], wanted[name]
    if section == "space":
        wanted |= {"image_size": 8, "channels": 1, "classes": 10}
    assert found == wanted


def layered(tmp_path: Path, text: str, *assignments: str) -> Layered:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return load_settings(str(file), {}, assignments, {})


def test_every_source_can_say_it_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(OBJECTIVE)
    key = "objective.soft_limits"
    flag = load_settings(str(tmp_path / "base.yaml"), {}, ["objective=null"], {})
    assert in_force(flag)[key] == {"value": {}, "origin": "--set objective"}
    variable = load_settings(str(tmp_path / "base.yaml"), {"METAQNN_OBJECTIVE__SOFT_LIMITS": "null"}, [], {})
    assert in_force(variable)[key] == {"value": {}, "origin": "METAQNN_OBJECTIVE__SOFT_LIMITS"}
    python = load_settings(str(tmp_path / "base.yaml"), {}, [], {"objective": None})
    assert in_force(python)[key] == {"value": {}, "origin": "objective"}
    epnas = layered(tmp_path, "preset: epnas-digits\nobjective: null\n")
    assert in_force(epnas)[key] == {"value": {}, "origin": str(tmp_path / "own.yaml")}
    assert not epnas.settings.objective.changes_reward


def test_what_is_said_after_it_holds(tmp_path: Path) -> None:
    measure = layered(tmp_path, OBJECTIVE, "objective=null", "objective.measure=balanced_accuracy").settings.objective
    assert (measure.measure, measure.soft_limits) == ("balanced_accuracy", {})
    assert not layered(tmp_path, OBJECTIVE, "objective.measure=x", "objective=null").settings.objective.measure


def test_one_entry_of_a_mapping_can_be_taken_away_and_one_of_a_list_not(tmp_path: Path) -> None:
    more = "    macs: {reference: 9, weight: 1}\n"
    text = f"preset: digits\nobjective:\n  soft_limits:\n{more}    params: {{reference: 9, weight: 1}}\n"
    assert {*layered(tmp_path, text, "objective.soft_limits.macs=null").settings.objective.soft_limits} == {"params"}
    with pytest.raises(SettingsError, match=r"schedule.phases.0 must be a mapping"):
        load_settings("digits", {}, ["schedule.phases=[null]"], {})


def test_a_value_that_may_be_null_is_null(tmp_path: Path) -> None:
    assert load_settings("digits", {}, ["space.max_macs=null"], {}).settings.space.max_macs is None
    with pytest.raises(SettingsError, match=r"recipe.epochs must be a whole number, got null"):
        load_settings("digits", {}, ["recipe.epochs=null"], {})


def test_an_empty_section_leaves_the_sources_as_they_are(tmp_path: Path) -> None:
    shown = in_force(load_settings("digits", {}, ["recipe={}"], {}))
    assert shown["recipe.decay_epochs"]["origin"] == "preset digits"
    assert shown["recipe.momentum"]["origin"] == "default"


def test_a_run_records_what_is_in_force_and_reads_it_again(tmp_path: Path) -> None:
    found = layered(tmp_path, OBJECTIVE, "objective=null", "execution.kubernetes=null", "finals=null").settings
    assert found.recorded()["objective"] == defaults().model_dump(mode="json")["objective"]
    assert found.recorded()["finals"] == {}
    assert parse_settings(found.recorded()).recorded() == found.recorded()
    again = continue_settings(found.recorded(), "run first", {}, ["execution.kubernetes=null"], {})
    assert again.recorded() == found.recorded()


def test_what_a_run_recorded_can_be_taken_away_where_it_may_change() -> None:
    begun = {**settings().recorded(), "finals": {"epochs": 7}}
    assert continue_settings(begun, "run first", {}, [], {}).finals.epochs == 7
    assert continue_settings(begun, "run first", {}, ["finals=null"], {}).finals == defaults().finals


def test_nulls_of_a_record_are_values() -> None:
    recorded = settings().recorded()
    assert None in dict(flatten(recorded)).values()
    assert parse_settings(recorded).recorded() == recorded
