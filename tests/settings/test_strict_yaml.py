from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.settings.strict_yaml import parse_mapping, parse_value

# YAML folds lines at more characters than JSON does.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=20)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_json_is_read_as_json_reads_it(value: Any) -> None:
    assert parse_value(json.dumps(value, ensure_ascii=False), "it") == value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_value(text, "it")
    except SettingsError as error:
        refused = str(error)
    else:
        return
    assert refused.startswith("it")
    assert refused.isprintable()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("NO", "NO"),
        ("True", "True"),
        ("true", True),
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("010", 10),
        ("0x10", "0x10"),
        ("0o10", "0o10"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("٣", "٣"),
        ("~", None),
        ("", None),
        ("=", "="),
        ("<<", "<<"),
        ("[1, [2, {a: b}]]", [1, [2, {"a": "b"}]]),
    ],
)
def test_words_and_numbers_are_what_they_look_like(text: str, value: object) -> None:
    found = parse_value(text, "it")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", "it, line 2, column 1: the key a is there twice"),
        ("a: {b: 1, b: 2}", "it, line 1, column 11: the key b is there twice"),
        ("a: &x 1", "it, line 1, column 4: anchors and aliases are not supported"),
        ("a: *x", "it, line 1, column 4: anchors and aliases are not supported"),
        ("&x {a: 1}", "it, line 1, column 1: anchors and aliases are not supported"),
        ("a: !!python/object:os.system {}", "it, line 1, column 4: the tag tag:yaml.org,2002:python/object:os.system"),
        ("!!python/object/apply:os.system ['true']", "the tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: !!binary aGk=", "the tag tag:yaml.org,2002:binary is not supported"),
        ("a: !!set {x}", "the tag tag:yaml.org,2002:set is not supported"),
        ("a: !!timestamp 2024-01-01", "the tag tag:yaml.org,2002:timestamp is not supported"),
        ("a: !own 1", "the tag !own is not supported"),
        ("<<: {a: 1}\n? [x]\n: 2", "it, line 2, column 3: keys must be words"),
        ("1: 2", "it, line 1, column 1: keys must be words"),
        ("null: 2", "it, line 1, column 1: keys must be words"),
        ("a: 1e999", "it, line 1, column 4: 1e999 is not a finite number"),
        ("a: !!float x", "it: could not convert string to float: 'x'"),
        ("a: " + "9" * 5000, "it: Exceeds the limit"),
        ("a:\n\tb: 1", "it, line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: [1", "it, line 1, column 6: expected"),
        ("a: 1\n---\nb: 2", "it, line 2, column 1: but found another document"),
        ("a: \x1b[31mred", "it: the character 0x1b is not allowed"),
        ("[" * 20_000, "it: nested too deeply"),
        ("a: " + "{b: " * 5_000 + "}" * 5_000, "it: nested too deeply"),
    ],
)
def test_surprises_are_refused_with_their_place(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_value(text, "it")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_bomb_of_anchors_does_not_unfold() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(SettingsError, match=r"line 1, column 5: anchors and aliases"):
        parse_value("\n".join(lines), "it")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("# nothing but this\n", "it is empty"),
        ("null", "it is empty"),
        ("- a\n- b", "it contains a list, but settings are expected"),
        ("digits", "it contains 'digits', but settings are expected"),
        ("3", "it contains 3, but settings are expected"),
    ],
)
def test_settings_are_a_mapping(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match="^" + says):
        parse_mapping(text, "it")
