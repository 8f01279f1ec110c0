"""The same budget, spent by different searches. Each yields one accuracy for every unique net that it has tried.

A net that was tried before is answered from memory and costs nothing, for every one of them, as it costs no training in
the paper either; a search that has found nothing new in a long row of proposals is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import optuna
from optuna.samplers import TPESampler

from benchmarks.agent_step import paper_space
from benchmarks.optuna_peer import suggest_net
from metaqnn_orch.search import schedule
from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import Layer
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.space import Cnn

Objective = Callable[[str], float]
Search = Callable[[Objective, int, int], Iterator[float]]
PATIENCE = 1000  # proposals in a row without a new net

POPULATION, TOURNAMENT = 100, 25  # Real et al. 2019, section 4


def metaqnn(objective: Objective, budget: int, seed: int) -> Iterator[float]:
    """The agent with the paper's schedule, shrunk or stretched to the budget."""
    phases, known = schedule.scaled(schedule.PAPER, budget), dict[str, float]()
    agent, rng, idle = Agent(paper_space(), QTable()), Random(seed), 0
    while len(known) < budget and idle < PATIENCE:
        net = agent.propose(schedule.epsilon_at(phases, len(known)), rng)
        idle += 1
        if net not in known:
            known[net], idle = objective(net), 0
            yield known[net]
        agent.learn(net, known[net], rng)


def at_random(objective: Objective, budget: int, seed: int) -> Iterator[float]:
    """Epsilon 1: each legal layer as likely as the others."""
    known, agent, rng = set[str](), Agent(paper_space(), QTable()), Random(seed)
    while len(known) < budget:
        net = agent.propose(1.0, rng)
        if net not in known:
            known.add(net)
            yield objective(net)


def tpe(objective: Objective, budget: int, seed: int) -> Iterator[float]:
    """Optuna's tree-structured Parzen estimator as it comes."""
    space, known, idle = paper_space(), dict[str, float](), 0
    study = optuna.create_study(sampler=TPESampler(seed=seed), direction="maximize")
    while len(known) < budget and idle < PATIENCE:
        trial = study.ask()
        net = suggest_net(trial, space)
        idle += 1
        if net not in known:
            known[net], idle = objective(net), 0
            yield known[net]
        study.tell(trial, known[net])


def evolution(objective: Objective, budget: int, seed: int) -> Iterator[float]:
    """Regularised evolution (Real et al. 2019): the best of a tournament is mutated, the oldest dies."""
    space, rng = paper_space(), Random(seed)
    agent, known, population, idle = Agent(space, QTable()), dict[str, float](), list[str](), 0
    while len(known) < budget and idle < PATIENCE:
        if len(population) < POPULATION:
            net = agent.propose(1.0, rng)
        else:
            parent = max(rng.sample(population, TOURNAMENT), key=known.__getitem__)
            net = mutated(parent, space, rng)
        idle += 1
        if net not in known:
            known[net], idle = objective(net), 0
            yield known[net]
        population = [*population, net][-POPULATION:]


def mutated(text: str, space: Cnn, rng: Random) -> str:
    """One layer more, one less, or another one, anywhere; tried until the net is legal."""
    net = parse_net(text)
    layers: list[Layer] = [*all_layers(space)]
    while True:
        changed, place = list(net), rng.randrange(len(net))
        match rng.randrange(3):
            case 0:
                changed.insert(place, rng.choice(layers))
            case 1:
                del changed[place]
            case _:
                changed[place] = rng.choice([*layers, GAP(10), SM(10)])
        if changed and isinstance(changed[-1], GAP):
            changed.append(SM(10))
        try:
            candidate = format_net(changed)
            space.walk(candidate)
        except (IllegalDesign, NotationError):
            continue
        if candidate != text:
            return candidate


def all_layers(space: Cnn) -> list[Layer]:
    """Every layer of Table 1 but the terminations."""
    rules = space.rules
    convolutions = [Conv(d, f) for d in rules.convolution.filters for f in (1, 3, 5)]
    pools = [Pool(5, 3), Pool(3, 2), Pool(2, 2)]
    return [*convolutions, *pools, *(FC(units) for units in rules.fully_connected.units)]


SEARCHES: dict[str, Search] = {
    "MetaQNN": metaqnn,
    "regularised evolution": evolution,
    "Optuna TPE": tpe,
    "random": at_random,
}
