"""YAML without surprises, for settings files, environment variables and --set.

It has the core types of YAML 1.2: `no`, `on` and `yes` are words, 010 is ten, 1e-3 is a number, dates are text. It has
no anchors, so that no text expands into a larger one, no duplicate keys, and only the tags of these types.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from metaqnn_orch.errors import SettingsError, one_line


def parse_mapping(text: str, source: str, *, as_written: bool = False) -> dict[str, Any]:
    """Parse a settings file's text into nested values; `source` names it in errors. With `as_written`, fractions stay
    text, and so do numbers that would be written otherwise: 1.10 as a label is not 1.1, and 007 is not 7.

    Raises:
        SettingsError: one line with the source, the line and the column.
    """
    content = _parse(text, source, _AsWritten if as_written else _Loader)
    if content is None:
        raise SettingsError(f"{source} is empty", hint="a settings file needs at least a line like preset: digits")
    if not isinstance(content, dict):
        found = "a list" if isinstance(content, list) else repr(content)[:60]
        raise SettingsError(f"{source} contains {found}, but settings are expected, for example recipe: {{epochs: 3}}")
    return content


def parse_value(text: str, source: str) -> Any:
    """Parse one value: null, a truth value, a number, text, a list or a mapping. Everything else is as in
    parse_mapping.
    """
    return _parse(text, source, _Loader)


def _parse(text: str, source: str, loader: type[_Loader]) -> Any:
    try:
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{source}{place}: {one_line(error.problem or 'not YAML')}") from None
    except RecursionError:
        raise SettingsError(f"{source}: nested too deeply") from None
    except yaml.reader.ReaderError as error:
        raise SettingsError(f"{source}: the character {error.character:#x} is not allowed") from None
    except ValueError as error:  # an integer with more digits than Python converts
        raise SettingsError(f"{source}: {one_line(str(error))}") from None


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own shape)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:  # the anchor of a node or of an alias
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not supported", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _Refused("keys must be words", key_node)
            if key in seen:
                raise _Refused(f"the key {key} is there twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        # YAML 1.1 reads 010 as eight; here it is ten, as it looks.
        number = int(node.value) if node.tag.endswith(":int") else float(node.value)
        if isinstance(number, float) and not math.isfinite(number):
            raise _Refused(f"{node.value} is not a finite number", node)
        return number

    def construct_foreign(self, node: yaml.Node) -> Any:
        raise _Refused(f"the tag {node.tag} is not supported", node)


class _AsWritten(_Loader):
    def construct_number(self, node: yaml.ScalarNode) -> Any:
        number = super().construct_number(node)
        return number if isinstance(number, int) and str(number) == node.value else node.value


class _Refused(yaml.constructor.ConstructorError):
    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(None, None, problem, node.start_mark)


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is not None and tag.rpartition(":")[2] in ("null", "bool", "str", "seq", "map")
}
_Loader.add_constructor(None, _Loader.construct_foreign)
for _tag in ("int", "float"):
    for _loader in (_Loader, _AsWritten):
        _loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _loader.construct_number)
