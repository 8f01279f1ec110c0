"""Two landscapes fitted to one table of trained cnn nets, such as the sample of the authors' record on SVHN.

`neighbours` is the estimator of our own table launcher. `guided` learns from much the same features, which favours it.
`kernel` knows nothing of them: kernel ridge regressions on runs of up to three layers in the net's text, one for
whether the net learns at all, and one for how far it comes then. Their settings predict best on the 300 nets of the
authors' sample in ten-fold cross-validation: root mean square error 0.260 and rank correlation 0.70, against 0.29 and
0.63 of `neighbours`. No search was looked at for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import exp
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.agent_step import paper_settings
from benchmarks.made import SVHN
from benchmarks.search.landscape import Landscape
from metaqnn_orch.replay.table import Table, read_table
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.space import Cnn

TABLES: Final = ("neighbours", "kernel")
NOISE: Final = 0.02
LONGEST: Final = 3  # layers in a run
WIDTH: Final = 1.0  # of the kernel: exp(-WIDTH * (1 - cosine))
RIDGES: Final = (0.1, 0.3)  # of whether a net learns, and of how far it comes
CHANCE: Final = 0.1  # accuracy of a net of ten classes that does not learn
LEARNED: Final = 0.5  # a net that is better has learned
_ALIKE: Final = (  # what a run may leave out of its convolutions, so that similar layers share features
    (re.compile(r"(?!)"), ""),
    (re.compile(r"\(.*"), ""),
    (re.compile(r"C\(\d+,(\d+),1\)"), r"C(*,\1,1)"),
    (re.compile(r"C\((\d+),\d+,1\)"), r"C(\1,*,1)"),
)


class Kernel:
    """Predicts the accuracy of a net from the runs of layers that it shares with known nets."""

    def __init__(self, accuracies: Mapping[str, float]) -> None:
        """`accuracies`: of nets, by their texts. Some of them have learned."""
        known = [_weights(net) for net in accuracies]
        self._columns: dict[str, NDArray[np.float64]] = {}
        for row, weights in enumerate(known):
            for run, weight in weights.items():
                self._columns.setdefault(run, np.zeros(len(known)))[row] = weight
        kernel = np.array([self._similar(weights) for weights in known])
        values = np.array([*accuracies.values()])
        self._learned = values > LEARNED
        all_nets = np.full(len(known), fill_value=True)
        self._chance = _Ridge(kernel, self._learned.astype(float), all_nets, RIDGES[0])
        self._error = _Ridge(kernel, np.log(np.maximum(0.01, 1.0 - values)), self._learned, RIDGES[1])

    def __call__(self, net: str) -> float:
        similar = self._similar(_weights(net))
        chance = min(1.0, max(0.0, self._chance(similar)))
        accuracy = max(0.0, 1.0 - exp(self._error(similar)))
        return CHANCE + chance * (accuracy - CHANCE)

    def _similar(self, weights: Mapping[str, float]) -> NDArray[np.float64]:
        """The kernel between a net and each known one."""
        cosine = np.zeros(len(next(iter(self._columns.values()))))
        for run, weight in weights.items():
            if run in self._columns:
                cosine += weight * self._columns[run]
        similar: NDArray[np.float64] = np.exp(-WIDTH * (1.0 - cosine))
        return similar


class _Ridge:
    """Kernel ridge regression of the chosen rows."""

    def __init__(
        self, kernel: NDArray[np.float64], values: NDArray[np.float64], chosen: NDArray[np.bool_], ridge: float
    ) -> None:
        self._chosen = chosen
        self._mean = float(values[chosen].mean())
        damped = kernel[np.ix_(chosen, chosen)] + ridge * np.eye(int(chosen.sum()))
        self._dual = np.linalg.solve(damped, values[chosen] - self._mean)

    def __call__(self, similar: NDArray[np.float64]) -> float:
        """`similar`: the kernel between a net and each row, chosen or not."""
        return self._mean + float(similar[self._chosen] @ self._dual)


def _weights(net: str) -> dict[str, float]:
    """A unit vector: the square root of how often each run of layers occurs."""
    layers = ["start", *re.findall(r"[A-Z]+\([\d,]+\)", net)]
    counts: Counter[str] = Counter()
    for number, (detail, instead) in enumerate(_ALIKE):
        words = [detail.sub(instead, layer) for layer in layers]
        counts.update(f"{number} {' '.join(run)}" for run in _runs(words))
    length = sum(counts.values()) ** 0.5
    return {run: count**0.5 / length for run, count in counts.items()}


def _runs(words: Sequence[str]) -> list[Sequence[str]]:
    return [words[first : first + count] for count in range(1, LONGEST + 1) for first in range(len(words) - count + 1)]


def landscape(family: str, table: str, file: Path) -> Landscape:
    """The landscape of one surrogate, fitted to the nets of a file that the table launcher reads.

    Raises:
        BadInput: it is no such file.
    """
    read = read_table(file.read_bytes(), str(file), SVHN)
    truth = cache(_neighbours(read) if table == "neighbours" else _kernel(read))
    return Landscape(
        name=f"{family}/{table}",
        space=_space(),
        reward=partial(_reward, truth),
        truth=truth,
        optimum=None,
        about=f"true value: the accuracy that the surrogate `{table}` predicts from {len(read)} nets; reward: the same "
        f"with normal noise of standard deviation {NOISE:g}",
    )


def _space() -> Cnn:
    """The paper's, with GAP after fully connected layers, too, as in the authors' record."""
    settings = paper_settings()
    return Cnn(replace(settings.space, gap_after_fc=True), settings.model)


def _neighbours(table: Table) -> Callable[[str], float]:
    return lambda net: table.answer(parse_net(net))[0]


def _kernel(table: Table) -> Callable[[str], float]:
    return Kernel({format_net(net): accuracy for net, accuracy in table.accuracies.items()})


def _reward(truth: Callable[[str], float], net: str, seed: int, training: int) -> float:
    noisy = truth(net) + NOISE * Random(f"noise/{seed}/{training}/{net}").gauss(0.0, 1.0)
    return min(1.0, max(0.0, noisy))
