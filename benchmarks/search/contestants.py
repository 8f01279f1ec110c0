"""The searchers under test, each with its options."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from benchmarks.search import driver, peers
from benchmarks.search.driver import Trained
from benchmarks.search.landscape import Landscape
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.search.searchers.guided import Guided

OWN: Final = ("metaqnn_orch.search.", "metaqnn_trainer.spaces.base")


class Contestant(NamedTuple):
    """A method of ours with options, or one of Optuna's."""

    method: str
    options: Mapping[str, Any] = {}
    by_budget: bool = False
    """Whether its course depends on the budget, so that each budget needs a search of its own."""
    most: int | None = None
    """The largest budget that it takes part in; None for all."""
    confirms: str | None = None
    """The contestant whose search it is; but the last trainings of the budget repeat the best designs of it."""

    @property
    def is_here(self) -> bool:
        return self.method in PEERS or self.method in SEARCHERS.members()

    def words(self) -> str:
        found = ", ".join(f"{name} {value}" for name, value in self._all_options().items() if value != {})
        words = f"{self.method}: {found}" if found else self.method
        again = f"; the last {CONFIRM.top * CONFIRM.repeats} trainings repeat its best {CONFIRM.top} designs"
        return words + again if self.confirms else words

    def _all_options(self) -> dict[str, Any]:
        """Those that are left at their defaults, too. Of Optuna's, the ones that we choose."""
        if self.method in PEERS:
            return dict(self.options)
        options = SEARCHERS.load(self.method).Options(**self.options)
        return dict(options.model_dump()) if hasattr(options, "model_dump") else asdict(options)

    def source(self) -> str:
        """A digest of the code that decides its course, or a version: a result of other code is not used again."""
        if self.method in PEERS:
            return f"optuna {version('optuna')}"
        return _digest(SEARCHERS.find(self.method).value.partition(":")[0])


@cache
def _digest(module: str) -> str:
    modules = _imported(module)
    return hashlib.sha256("".join(modules[name] for name in sorted(modules)).encode()).hexdigest()[:12]


TPE: Final = "optuna-tpe"
PEERS: Final[Mapping[str, Callable[..., Trained]]] = {TPE: peers.tpe}

CHAMPION: Final = "guided"
CONFIRMED: Final = f"{CHAMPION} + confirmation"
CONFIRM: Final = Guided.confirm
CONTESTANTS: Final[Mapping[str, Contestant]] = {
    CHAMPION: Contestant("guided"),
    CONFIRMED: Contestant("guided", by_budget=True, confirms=CHAMPION),
    "evolution 100/25": Contestant("evolution", {"population": 100, "tournament": 25}),
    "evolution 25/5": Contestant("evolution", {"population": 25, "tournament": 5}),
    "evolution 25/5 + confirmation": Contestant(
        "evolution", {"population": 25, "tournament": 5}, by_budget=True, confirms="evolution 25/5"
    ),
    "evolution 10/5": Contestant("evolution", {"population": 10, "tournament": 5}),
    "local search": Contestant("local-search"),
    "TPE": Contestant(TPE, {"multivariate": False}, most=300),
    "TPE multivariate": Contestant(TPE, {"multivariate": True}, most=300),
    "q-learning": Contestant("q-learning", by_budget=True),
    "random": Contestant("random"),
}
RIVALS: Final = ("evolution 100/25", "evolution 25/5", "evolution 10/5", "local search", "TPE", "TPE multivariate")
"""Whoever is the strongest of these is who the champion has to beat."""


def contestant(name: str) -> Contestant:
    """The contestant of that name, or `method:option=value;option=value`, for trying options.

    Raises:
        ValueError: there is none.
    """
    method, _, options = name.partition(":")
    if not options and name in CONTESTANTS:
        return CONTESTANTS[name]
    if method not in SEARCHERS.members():
        raise ValueError(f"there is no contestant {name!r}: {', '.join(CONTESTANTS)}, or METHOD:OPTION=VALUE;…")
    pairs = (pair.partition("=") for pair in options.split(";") if pair)
    by_budget = any(each.by_budget for each in CONTESTANTS.values() if each.method == method)
    return Contestant(method, {key: yaml.safe_load(value) for key, _, value in pairs}, by_budget)


def search(who: Contestant, where: Landscape, budget: int, seed: int, parallel: int) -> Trained:
    """One search."""
    reward = partial(_of_seed, where, seed)
    if who.method in PEERS:
        return PEERS[who.method](where.space, reward, budget, seed, parallel, **who.options)
    searcher = driver.searcher_of(who.method, dict(who.options), where.space, budget, seed)
    return driver.Run(searcher, reward, budget, parallel)()


def confirmed(who: Contestant, where: Landscape, found: Trained, budget: int, seed: int) -> Trained:
    """A search of that budget that ends with confirmation. `found`: the same search without, at least as long."""
    searcher = driver.searcher_of(who.method, dict(who.options), where.space, budget, seed)
    return driver.confirmed(searcher, found, partial(_of_seed, where, seed), budget, CONFIRM)


def _of_seed(where: Landscape, seed: int, design: str, training: int) -> float:
    return where.reward(design, seed, training)


class _WithoutWords(ast.NodeTransformer):
    """Takes docstrings away."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if is_text else node


def code_of(source: str) -> str:
    """What a module does: its syntax tree, without comments and docstrings."""
    return ast.dump(_WithoutWords().visit(ast.parse(source)))


def _imported(module: str) -> dict[str, str]:
    """The code of a searcher's module, and of what it imports of its own package, of the search and of the spaces'
    interface.
    """
    own = (*OWN, module.rpartition(".")[0] or module)
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = find_spec(name) if name.startswith(own) and name not in found else None
        if spec is None or spec.origin is None:
            continue
        source = Path(spec.origin).read_text(encoding="utf-8")
        found[name] = code_of(source)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                waiting.append(node.module)
    return found
