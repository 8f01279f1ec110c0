"""Whatever is wrong with a setting or an option, it is said in this program's words."""

from __future__ import annotations

import re

import pytest

from metaqnn_orch.cli.flags import SEARCH, TRACKING
from metaqnn_orch.errors import SettingsError
from metaqnn_orch.settings.sources import FLAGS, load_settings
from metaqnn_orch.settings.values import known_keys
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]

WRONG = ("yes", "'true'", "on", "[]", "[1]", "{}", "{a: 1}", "null", "1.5", "-1", "''", "true", "99999999999999999999")
LEAKS = re.compile(
    r"Input should|Value error|validation error|valid (integer|boolean|number|string|tuple|list|dictionary)|pydantic"
    r"|instance of|Extra inputs|errors\\.pydantic|parse string|unable to|not of the kind"
)


@pytest.mark.parametrize("value", WRONG)
def test_no_sentence_of_a_library_leaks(value: str) -> None:
    said = []
    for key in known_keys():
        try:
            load_settings("digits", {}, [f"{key}={value}"], {})
        except SettingsError as error:
            said.append(str(error))
    assert len(said) > 20
    assert [text for text in said if LEAKS.search(text)] == []


@pytest.mark.parametrize(("value", "truth"), [("yes", "true"), ("on", "true"), ("'true'", "true"), ("no", "false")])
def test_yes_and_on_say_what_is_wanted(value: str, truth: str) -> None:
    with pytest.raises(SettingsError, match=f"must be true or false, got .*: write {truth}, without quotes"):
        load_settings("digits", {}, [f"recipe.mirror={value}"], {})


def test_options_are_blamed_by_their_own_names() -> None:
    own = {flag.key: "--" + name.replace("_", "-") for name, flag in {**SEARCH, **TRACKING}.items()}
    assert own == FLAGS
    with pytest.raises(SettingsError, match="from --warm-start-from"):
        load_settings("digits", {}, [], {"warm_start.run": 3})


def test_no_option_is_blamed_for_what_a_program_said() -> None:
    with pytest.raises(SettingsError, match=r"\(from recipe\.epochs\)"):
        load_settings("digits", {}, [], {"recipe.epochs": "many"})


@pytest.mark.parametrize("flag", ["--parallel", "--max-trials", "--seed", "--gpu-hours", "--target", "--money"])
@pytest.mark.parametrize("value", ["x", "", "1e400", "nan", "-5", "yes"])
def test_options_say_it_too(cli: Cli, flag: str, value: str) -> None:
    answer = cli("start", "digits", "--run", "a", "--store", "nowhere", f"{flag}={value}", "--dry-run")
    assert not LEAKS.search(answer.err), answer.err
    assert answer.code in (0, 2)
