"""Finds whose fault an exception is: an error of a plug-in becomes one sentence that names it, whoever called it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from inspect import getattr_static, isfunction
from types import new_class
from typing import Any, Final

from metaqnn_orch.errors import OrchestratorError, PluginFailed, SearcherFailed, SpaceFailed, StoreError, one_line
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.plugins import TASKS, Plugin, culprit
from metaqnn_trainer.spaces.base import SPACES, Cost, IllegalDesign, Part, Space
from metaqnn_trainer.spaces.cnn.registry import LAYERS

_GROUPS: Final = (SPACES, LAYERS, SEARCHERS, TASKS, SOURCES)
BLAME_HINT: Final = (
    "METAQNN_TRACEBACK=1 shows where; nothing is lost, and the same command goes on once the plug-in is mended"
)
_KINDS: Final[Mapping[str, type[PluginFailed]]] = {
    SEARCHERS.entry_points: SearcherFailed,
    SPACES.entry_points: SpaceFailed,
}

_LIST: Final = (list, Sequence)  # the usual ones first, which are quickly told; a text is one, too, and is refused
_RETURNS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("legal", "parse", "beginning", "walk", "following", "describe", "words"), _LIST),
    **dict.fromkeys(("text", "canonical", "adapted", "mutated", "net"), str),
    **dict.fromkeys(("measures", "features", "mismatches", "plugins"), (dict, Mapping)),
    "neighbours": Iterable,
    "objection": (str, type(None)),
    "cost": Cost,
    "recipe": Recipe,
}
"""The types of what the methods of a space return."""

_ITS_OWN: Final = (ContractError, IllegalDesign)
"""The errors that a space's interface allows."""

_within: Final = threading.local()


def failure(error: BaseException, suspect: Plugin | None = None, doing: str = "") -> PluginFailed | None:
    """The error as a sentence. To blame is the installed plug-in in whose code it was raised, else the `suspect`; None
    where there is neither.
    """
    plugin = culprit(error, _GROUPS)
    if suspect is not None and (plugin is None or plugin.distribution == suspect.distribution):
        plugin = suspect
    if plugin is None:
        return None
    kind = _KINDS.get(plugin.group, PluginFailed)
    during = f" while {doing}" if doing else ""
    return kind(f"{plugin} failed{during}: {one_line(f'{type(error).__name__}: {error}')}", BLAME_HINT)


@contextmanager
def blaming(suspect: Plugin, doing: str, but: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """
    Raises:
        PluginFailed: the block raised something else than an error of ours, or one of `but`; a plug-in is to blame, as
            `failure` says.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        is_signal = isinstance(error, SystemExit) and type(error) is not SystemExit
        if is_signal or isinstance(error, (OrchestratorError, StoreError, *but)):
            raise
        raise failure(error, suspect, doing) or error from error


@cache
def guarded(family: type[Space], plugin: Plugin) -> type[Space]:
    """The class of an installed family, which raises SpaceFailed wherever its own code raises something else than the
    interface says, or returns nonsense. A built-in family is returned as it is.
    """
    if not plugin.distribution:
        return family
    content: dict[str, Any] = {"__module__": family.__module__, "__doc__": family.__doc__}
    for name in vars(Space):
        own = getattr_static(family, name)
        if name == "__init__":
            content[name] = _method(plugin, name, own, (ContractError, ValueError))  # no design is legal
        elif isinstance(own, property):
            content[name] = property(_method(plugin, name, own.fget), own.fset)
        elif isfunction(own) and not name.startswith("_"):
            content[name] = _method(plugin, name, own)
    made: type[Space] = new_class(family.__name__, (family,), exec_body=lambda body: body.update(content))
    return made


def _method(plugin: Plugin, name: str, own: Any, but: tuple[type[Exception], ...] = _ITS_OWN) -> Callable[..., Any]:
    doing = "being made" if name == "__init__" else f"answering {name}"
    checked = name in _RETURNS

    @wraps(own)
    def call(*arguments: Any, **named: Any) -> Any:
        if getattr(_within, "busy", False):
            found = own(*arguments, **named)  # the family calls itself: it may catch what it raises
            if checked:
                _check(name, found)
            return found
        with _alone(), blaming(plugin, doing, but):
            found = own(*arguments, **named)
            if checked:
                _check(name, found)
        return _iterated(plugin, doing, found) if isinstance(found, Iterator) else found

    return call


def _iterated(plugin: Plugin, doing: str, found: Iterator[Any]) -> Iterator[Any]:
    end = object()
    while True:
        with _alone(), blaming(plugin, doing, _ITS_OWN):
            item = next(found, end)
        if item is end:
            return
        yield item


def _check(name: str, found: Any) -> None:
    """
    Raises:
        TypeError: it is not what the method returns.
    """
    wanted = _RETURNS[name]
    if not isinstance(found, wanted) or (wanted is _LIST and isinstance(found, str)):
        raise TypeError(f"{name} returned {one_line(repr(found), 80)}")
    if name == "legal" and not len(found):
        raise TypeError("legal returned no move")
    if name == "describe" and not all(isinstance(part, Part) and isinstance(part.cost, Cost) for part in found):
        raise TypeError("describe returned something else than parts")


@contextmanager
def _alone() -> Iterator[None]:
    """Have the methods of this thread's spaces call each other as if nothing guarded them."""
    before = getattr(_within, "busy", False)
    _within.busy = True
    try:
        yield
    finally:
        _within.busy = before
