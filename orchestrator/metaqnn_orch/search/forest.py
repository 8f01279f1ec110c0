"""A forest of extremely randomised regression trees (Geurts, Ernst, Wehenkel 2006), on bootstrap samples.

The sums are sums of whole numbers and therefore exact: the same rows give the same forest on every machine and with
every version of Python. Only the standard library is used for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from random import Random
from typing import Final, NamedTuple, TypeVar

from metaqnn_orch.search.sampling import sample

Item = TypeVar("Item")

UNIT: Final = 2**20  # targets are rounded to multiples of 1 / UNIT
LEAF: Final = 2  # rows of a leaf, at least
POINTS: Final = 20  # values of a partial dependence, at most,
ROWS: Final = 100  # and rows whose mean it is
REFITS: Final = 30  # a forest is fitted again when the results are more by a share of 1 / REFITS,
AT_LEAST: Final = 5  # and at least by this number
VOTERS: Final = 4  # trees, drawn for each proposal, that choose: so proposals differ while results are awaited


def fitted_to(first: int, results: int) -> int:
    """The number of results, of those that are there, to which a forest is fitted: `first` of them, and later more and
    more; 0 where there are fewer.
    """
    told, following = 0, first
    while following <= results:
        told = following
        following += max(AT_LEAST, told // REFITS)
    return told


class Split(NamedTuple):
    """An inner node: rows whose feature is below the threshold go left."""

    feature: str
    threshold: float
    left: Node
    right: Node


Node = Split | float  # a leaf is the mean of its targets


class Forest:
    """Fitted trees. It never changes."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, float]],
        targets: Sequence[float],
        rng: Random,
        *,
        trees: int = 30,
        tried: int = 12,
    ) -> None:
        """`rows` are features by name, and a missing one is 0. `tried` features are tried for each split. Uses
        rng.random() alone.
        """
        self.names: Sequence[str] = [*dict.fromkeys(name for row in rows for name in row)]
        self._columns = [[float(row.get(name, 0.0)) for row in rows] for name in self.names]
        self._targets = [round(target * UNIT) for target in targets]
        self._tried = tried
        self._gains = [0.0] * len(self.names)
        size = len(rows)
        self._trees = [self._grown([int(rng.random() * size) for _ in range(size)], rng) for _ in range(trees)]
        del self._columns, self._targets

    def __len__(self) -> int:
        return len(self._trees)

    def predict(self, row: Mapping[str, float], trees: Sequence[int] | None = None) -> float:
        """The mean prediction of some trees, by number; by default of all."""
        chosen = range(len(self._trees)) if trees is None else trees
        total = 0.0
        for number in chosen:
            node = self._trees[number]
            while not isinstance(node, float):
                node = node.left if row.get(node.feature, 0.0) < node.threshold else node.right
            total += node
        return total / len(chosen)

    def dependence(self, name: str, rows: Sequence[Mapping[str, float]]) -> dict[float, float]:
        """Partial dependence (Friedman 2001): for each value that a feature has in these rows, the mean prediction of
        all rows if each had this value. Of many values or rows some stand for all, so that it takes a second at most.
        """
        values, rows = _some(sorted({float(row.get(name, 0.0)) for row in rows}), POINTS), _some(rows, ROWS)
        found = {}
        for value in values:
            changed = ({**row, name: value} for row in rows)
            found[value] = sum(map(self.predict, changed)) / len(rows)
        return found

    @property
    def importance(self) -> dict[str, float]:
        """The share of each feature in what splits took from the variance of the targets; the greatest first."""
        total = sum(self._gains) or 1.0
        shares = {name: gain / total for name, gain in zip(self.names, self._gains, strict=True) if gain > 0}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def _grown(self, places: list[int], rng: Random) -> Node:
        targets = [self._targets[place] for place in places]
        total, count = sum(targets), len(targets)
        if count < 2 * LEAF or min(targets) == max(targets):
            return total / count / UNIT
        best = _Cut(total * total / count)
        base = best.score
        gather = itemgetter(*places)
        for feature in sample(range(len(self.names)), self._tried, rng):
            values = gather(self._columns[feature])
            low, high = min(values), max(values)
            if low == high:
                continue
            threshold = low + (high - low) * (1.0 - rng.random())  # above `low`: neither side is empty
            left = [target for value, target in zip(values, targets, strict=True) if value < threshold]
            if LEAF <= len(left) <= count - LEAF:
                part, rest = sum(left), total - sum(left)
                score = part * part / len(left) + rest * rest / (count - len(left))
                if score > best.score:
                    best = _Cut(score, feature, threshold)
        if best.feature is None:
            return total / count / UNIT
        self._gains[best.feature] += (best.score - base) / UNIT**2
        column, threshold = self._columns[best.feature], best.threshold
        left = [place for place in places if column[place] < threshold]
        right = [place for place in places if column[place] >= threshold]
        return Split(self.names[best.feature], threshold, self._grown(left, rng), self._grown(right, rng))


def _some(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most so many items, evenly spread from the first to the last."""
    if len(items) <= most:
        return items
    return [items[number * (len(items) - 1) // (most - 1)] for number in range(most)]


class _Cut(NamedTuple):
    """The best split so far, or none yet."""

    score: float
    feature: int | None = None
    threshold: float = 0.0
