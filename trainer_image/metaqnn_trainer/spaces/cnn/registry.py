"""The layer kinds that exist: the built-in ones, and those of installed distributions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.plugins import Group, Plugin
from metaqnn_trainer.spaces.cnn.choices import MAX_SIZE
from metaqnn_trainer.spaces.cnn.common import CommonRules
from metaqnn_trainer.spaces.cnn.layer import Layer

LAYERS: Final = Group("metaqnn.layers", "metaqnn_trainer.spaces.cnn.layers", "metaqnn_trainer.spaces.cnn.layer:Layer")


class Registry(NamedTuple):
    """Kinds by their names in the text of a net, in the order in which moves are offered."""

    kinds: Mapping[str, type[Layer]]
    sources: Mapping[str, Plugin]
    """The plug-in of each kind, by the same names."""
    troubles: Mapping[Plugin, str]
    """Why installed kinds cannot be used, a line for each. No other kind is affected."""

    @property
    def failures(self) -> tuple[str, ...]:
        """The lines of `troubles`."""
        return (*self.troubles.values(),)


def read_registry(plugins: Iterable[Plugin], refused: Iterable[Plugin] = ()) -> Registry:
    """All kinds that can be used; if two share a name or a section, the first one counts."""
    found: dict[str, type[Layer]] = {}
    sources: dict[str, Plugin] = {}
    troubles = {plugin: f"{plugin}: {plugin.trouble}" for plugin in refused}
    for plugin in plugins:
        try:
            kind: type[Layer] = plugin.load()
            check_kind(kind)
            for other in found.values():
                if kind.name == other.name or (kind.section and kind.section == other.section):
                    raise ValueError(f"{kind.name}, space.{kind.section}: taken by {sources[other.name]}")
        except PluginError as error:
            troubles[plugin] = str(error)
        except Exception as error:  # a foreign class may raise any exception
            troubles[plugin] = f"{plugin}: {one_line(str(error))}"
        else:
            found[kind.name], sources[kind.name] = kind, plugin
    ordered = sorted(found, key=lambda name: (found[name].order, name))
    return Registry(
        MappingProxyType({name: found[name] for name in ordered}),
        MappingProxyType(sources),
        MappingProxyType(troubles),
    )


@cache
def registry() -> Registry:
    """The registry of this process, read at its first use."""
    return read_registry(LAYERS.members().values(), LAYERS.refused())


def kinds() -> Mapping[str, type[Layer]]:
    """All kinds by their names in the text, in the order in which moves are offered."""
    return registry().kinds


def offered(kind: type[Layer], rules: Any, size: int, classes: int) -> Iterator[Layer]:
    """The layers of a kind that a space with these rules offers, as `Layer.choices` says.

    Raises:
        ValueError: one of them has a number that no text of a net can have.
    """
    for layer in kind.choices(rules, size, classes):
        numbers = [getattr(layer, name) for name in layer.__match_args__]
        if not all(isinstance(number, int) and 1 <= number <= MAX_SIZE for number in numbers):
            where = f"space.{kind.section} makes {layer} (a layer of {registry().sources[kind.name]})"
            raise ValueError(f"{where}: its numbers must be whole ones between 1 and {MAX_SIZE}")
        yield layer


def check_kind(kind: Any) -> None:
    """Check that a kind defines enough for a space to have it, and for all other code to handle it.

    Raises:
        ValueError, TypeError: it does not; the text says what is missing or wrong.
    """
    if not (isinstance(kind, type) and issubclass(kind, Layer) and "__dataclass_fields__" in vars(kind)):
        raise TypeError("a dataclass that is a subclass of Layer is wanted")
    name = getattr(kind, "name", None)
    if not (isinstance(name, str) and name.isascii() and name.isalpha() and name.isupper() and name != "D"):
        raise ValueError(f"its name in the text of a net is not made of capital letters, or is D: {name!r}")
    missing = [fact for fact in ("words", "colour", "builder") if not isinstance(getattr(kind, fact, None), str)]
    missing += sorted(kind.__abstractmethods__)
    if missing:
        raise TypeError(f"the layer kind {name} does not say: {', '.join(missing)}")
    if kind.section:
        if any(field.name == kind.section for field in fields(CommonRules)) or not kind.section.isidentifier():
            raise ValueError(f"the layer kind {name} cannot have the section {kind.section!r}")
        if not is_dataclass(kind.rules) or isinstance(kind.rules, type):
            raise TypeError(f"the layer kind {name} has no default for space.{kind.section}: a dataclass is wanted")
        hash(kind.rules)
        TypeAdapter(type(kind.rules)).dump_json(kind.rules)  # as the settings will do
