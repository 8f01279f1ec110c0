"""Plug-ins: built-in ones and those of installed distributions, found the same way, and loaded when they are used.

A kind of plug-in is a Group. Its built-in members are the modules of one package, and each has the attribute PLUGIN;
installed distributions add members by entry points. Both are objects with the same interface.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext, redirect_stdout
from dataclasses import is_dataclass
from functools import cache, reduce
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from importlib.util import find_spec
from traceback import walk_tb
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.signals import unbroken

FUNCTION: Final = "a function"
"""The interface of plug-ins that are functions."""

_NO_PLUGIN: Final = ("base", "registry")  # modules of such a package that are not members


class Plugin(NamedTuple):
    """One member of a group. Nothing of it is imported before `load`."""

    group: str
    name: str
    value: str
    """Place of the plug-in's object: `package.module:attribute`."""
    distribution: str = ""
    """The installed distribution that contains it; empty where it is built in."""
    version: str = ""
    trouble: str = ""
    """Why the plug-in cannot be used, where this is known without loading it."""
    interface: str = ""
    """The interface of its group."""

    @property
    def identity(self) -> str:
        """Distribution and version; empty where it is built in. The result of a training depends on both."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> Any:
        """The plug-in itself.

        Raises:
            PluginError: it cannot be imported, is not where it should be, or is not what its interface demands; one
                line with the cause.
        """
        if self.trouble:
            raise PluginError(f"{self}: {self.trouble}")
        try:
            thing = imported(self.value)
        except PluginError as error:
            raise PluginError(f"{self} cannot be loaded: {error}") from error
        if trouble := _lack(thing, self.interface):
            raise PluginError(f"{self} cannot be used: {trouble}")
        return thing

    def __str__(self) -> str:
        source = f" of {self.identity}" if self.distribution else ""
        return f"{self.group.rpartition('.')[2]} plug-in {self.name!r}{source}"


class Group(NamedTuple):
    """One kind of plug-in. The package of a kind defines its Group; only the group of tasks is defined here, because
    the orchestrator needs their names, and never loads one.
    """

    entry_points: str
    """The group's name in a distribution's metadata, for example `metaqnn.searchers`."""
    package: str
    """The package whose modules are the built-in members; a module `q_learning` is the member `q-learning`."""
    interface: str = ""
    """What a member has to be: a class without abstract methods under the one at this place,
    `package.module:attribute`; or FUNCTION. Where it is empty, nothing is checked.
    """

    def members(self) -> dict[str, Plugin]:
        """All members by name, the built-in ones first. If two share a name, the first one counts; the other one is
        among `refused`.
        """
        return _members(self)[0]

    def refused(self) -> list[Plugin]:
        """Members of installed distributions whose names are taken."""
        return _members(self)[1]

    def find(self, name: str) -> Plugin:
        """The member of this name.

        Raises:
            PluginError: there is none of this name; the text lists the existing ones.
        """
        members = self.members()
        if name not in members:
            what, known = self.entry_points.rpartition(".")[2], ", ".join(members) or "none is installed"
            raise PluginError(f"there is no {name[:80]!r} among the {what}: {known}")
        return members[name]

    def load(self, name: str) -> Any:
        """Load the member of this name.

        Raises:
            PluginError: there is none of this name, or it cannot be loaded.
        """
        return self.find(name).load()


def imported(place: str) -> Any:
    """What is at a place of a foreign package: `package.module`, or `package.module:attribute`. What is printed while
    it is imported goes to standard error: standard output is for data. A signal waits until that has ended, unless it
    comes twice: who is to blame for an exception would not be known otherwise.

    Raises:
        PluginError: it cannot be imported, or is not there; one line with the cause.
    """
    module, _, attribute = place.partition(":")
    # Standard output belongs to the whole process: it is taken away no longer than it must be.
    stdout = nullcontext() if module in sys.modules else redirect_stdout(sys.stderr)
    with unbroken() as insisted, stdout:
        try:
            return reduce(getattr, filter(None, attribute.split(".")), import_module(module))
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # a foreign module may raise any exception
            if insisted():
                raise
            raise PluginError(f"{type(error).__name__}: {one_line(str(error))}") from error


TASKS: Final = Group("metaqnn.tasks", "metaqnn_trainer.tasks", "metaqnn_trainer.tasks.base:Task")


def culprit(error: BaseException, groups: Iterable[Group], also: Iterable[tuple[str, Plugin]] = ()) -> Plugin | None:
    """The installed plug-in whose code raised the error, or called what raised it; None where there is none. Of several
    in one package, it is the one whose class the code belongs to, or the first. `also` has more places of plug-ins.
    """
    members = [plugin for group in groups for plugin in group.members().values()]
    places = [
        (place, plugin) for place, plugin in [*((one.value, one) for one in members), *also] if plugin.distribution
    ]
    for frame, _ in reversed([*walk_tb(error.__traceback__)]):
        module, owner = str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname.partition(".")[0]
        near = [(place, plugin) for place, plugin in places if _package(place) == _package(module)]
        if near:
            exact = [plugin for place, plugin in near if place == f"{module}:{owner}"]
            here = [plugin for place, plugin in near if place.startswith(f"{module}:")]
            return [*exact, *here, near[0][1]][0]
    return None


def _package(place: str) -> str:
    return place.partition(":")[0].partition(".")[0]


@cache
def _members(group: Group) -> tuple[dict[str, Plugin], list[Plugin]]:
    found = {plugin.name: plugin for plugin in _built_in(group)}
    refused: list[Plugin] = []
    for entry in sorted(_installed()(group=group.entry_points)):
        source = (entry.dist.name, entry.dist.version) if entry.dist is not None else ("unknown", "")
        plugin = Plugin(group.entry_points, entry.name, entry.value, *source, interface=group.interface)
        if (first := found.setdefault(entry.name, plugin)) is not plugin:
            owner = first.identity or "the built-in one"
            refused.append(plugin._replace(trouble=f"the name is taken by {owner}"))
    return found, refused


@cache
def _installed() -> Callable[..., EntryPoints]:
    """A function that selects among the entry points of all installed distributions: finding them takes tens of
    milliseconds.
    """
    return entry_points().select


def _built_in(group: Group) -> list[Plugin]:
    package = find_spec(group.package) if group.package else None
    places = package.submodule_search_locations if package is not None else None
    return [
        Plugin(
            group.entry_points,
            module.name.replace("_", "-"),
            f"{group.package}.{module.name}:PLUGIN",
            interface=group.interface,
        )
        for module in pkgutil.iter_modules(places or [])
        if not module.name.startswith("_") and module.name not in _NO_PLUGIN
    ]


def _lack(thing: Any, interface: str) -> str:
    """What a loaded member lacks of its interface, in words; empty where it lacks nothing."""
    if not interface:
        return ""
    what = f"the class {thing.__name__}" if isinstance(thing, type) else f"of type {type(thing).__name__}"
    if interface == FUNCTION:
        return "" if callable(thing) else f"it is {what}, and {FUNCTION} is wanted"
    module, _, name = interface.partition(":")
    base: Any = getattr(import_module(module), name)
    if not (isinstance(thing, type) and issubclass(thing, base)):
        return f"it is {what}, and a subclass of {module}.{name} is wanted"
    if missing := sorted(getattr(thing, "__abstractmethods__", ())):
        return f"it does not define {', '.join(missing)}"
    if "Options" in base.__annotations__ and not _has_fields(options := getattr(thing, "Options", None)):
        return "it has no Options" if options is None else "its Options is neither a dataclass nor a pydantic model"
    return ""


def _has_fields(options: Any) -> bool:
    return isinstance(options, type) and (is_dataclass(options) or issubclass(options, BaseModel))
