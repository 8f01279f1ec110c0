"""Optuna's tree-structured Parzen estimator (TPE) on any space: one categorical parameter for each choice."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import Trial

from benchmarks.optuna_peer import suggest_net
from benchmarks.search.choices import Choices
from benchmarks.search.driver import Reward, Trained
from metaqnn_trainer.spaces.base import Space
from metaqnn_trainer.spaces.cnn.space import Cnn

PATIENCE = 1000  # proposals in a row without a new design


def tpe(space: Space, reward: Reward, budget: int, seed: int, parallel: int, *, multivariate: bool) -> Trained:
    """As it comes, or with the choices' joint densities. A known design is told its reward again, and costs nothing."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Grouped, because some choices exist only after certain others: without it, those were drawn independently.
        sampler = TPESampler(
            seed=seed, multivariate=multivariate, group=multivariate, constant_liar=multivariate and parallel > 1
        )
        study = optuna.create_study(sampler=sampler, direction="maximize")
    known: dict[str, float] = {}
    in_flight: list[tuple[Trial, str]] = []
    steps: list[int] = []
    idle = 0
    while idle < PATIENCE and (in_flight or len(known) < budget):
        while len(in_flight) < parallel and len(known) + len(in_flight) < budget:
            trial = study.ask()
            in_flight.append((trial, suggested(trial, space)))
        trial, design = in_flight.pop(0)
        idle = idle + 1 if design in known else 0
        if design not in known:
            known[design] = reward(design, 0)
            steps.append(trial.number)
        study.tell(trial, known[design])
    return Trained([*known], [*known.values()], steps)


def suggested(trial: Trial, space: Space) -> str:
    """A design of the space, choice by choice."""
    if isinstance(space, Cnn):
        return suggest_net(trial, space)
    if isinstance(space, Choices):
        chosen: list[str] = []
        while len(chosen) < len(space.places):
            chosen.append(_choose(trial, len(chosen), space.options_at(tuple(chosen))))
        return space.text(space.representative(chosen))
    moves: list[Any] = []
    state: Any | None = space.start
    while state is not None:
        by_text = {str(move): move for move in space.legal(state)}
        moves.append(by_text[_choose(trial, len(moves), [*by_text])])
        state = space.step(state, moves[-1])
    return space.text(moves)


def _choose(trial: Trial, place: int, choices: Any) -> str:
    """The parameter's name has its choices, because Optuna wants the choices of a name never to change."""
    chosen: str = trial.suggest_categorical(f"{place} of {' '.join(choices)}", [*choices])
    return chosen
