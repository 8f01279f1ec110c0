"""What the agent believes after the first layers of a net, and what it would do there."""

from __future__ import annotations

from typing import NamedTuple

from metaqnn_orch.control.state import RunState, Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.search.agent import Agent
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import Layer, Net
from metaqnn_trainer.spaces.cnn.notation import format_net
from metaqnn_trainer.spaces.cnn.space import State


class Move(NamedTuple):
    """One legal layer."""

    layer: str
    q_value: float
    updates: int
    probability: float
    """That the agent chooses it at the current epsilon."""
    is_best: bool
    completion: str
    """The net that choosing the best from there on leads to, of tied layers the first."""
    trained: int
    """Nets that begin so."""
    best_trained: str | None
    best_accuracy: float | None


class Explanation(NamedTuple):
    """Of one state."""

    after: str
    epsilon: float
    moves: list[Move]
    """The best first, in the order of the space among equals. None where the net is whole."""
    choice: str
    """What the agent would do, in words."""
    trained: int
    best_trained: str | None
    best_accuracy: float | None


def explain(state: RunState, prefix: Net) -> Explanation:
    """
    Raises:
        BadInput: the space of the run does not hold the prefix.
    """
    agent, epsilon = state.agent, state.epsilon
    try:
        decisions = agent.space.walk(format_net(prefix))
    except IllegalDesign as error:
        raise BadInput(f"{format_net(prefix)} is not in the space of the run: {error}") from None
    trained, best = _trained(state, prefix)
    here = agent.space.step(*decisions[-1]) if decisions else agent.space.start
    if here is None:
        choice = "nothing is left to choose: the net is whole"
        return Explanation(format_net(prefix), epsilon, [], choice, trained, *_net_and_accuracy(best))
    moves = [_move(state, prefix, here, layer) for layer in agent.space.legal(here)]
    moves.sort(key=lambda move: -move.q_value)
    return Explanation(format_net(prefix), epsilon, moves, _choice(moves, epsilon), trained, *_net_and_accuracy(best))


def _move(state: RunState, prefix: Net, here: State, layer: Layer) -> Move:
    agent, epsilon = state.agent, state.epsilon
    legal, best = agent.space.legal(here), agent.best(here)
    (value,) = agent.q_table.values(here.key, (layer,))[:1]
    trained, best_trial = _trained(state, (*prefix, layer))
    return Move(
        layer=str(layer),
        q_value=value,
        updates=agent.q_table.updates(here.key, layer),
        probability=epsilon / len(legal) + (1 - epsilon) * (layer in best) / len(best),
        is_best=layer in best,
        completion=_completion(agent, prefix, here, layer),
        trained=trained,
        best_trained=best_trial.net if best_trial else None,
        best_accuracy=best_trial.val_accuracy if best_trial else None,
    )


def _completion(agent: Agent, prefix: Net, here: State, layer: Layer) -> str:
    decisions = [*prefix, layer]
    state = agent.space.step(here, layer)
    while state is not None:
        decisions.append(agent.best(state)[0])
        state = agent.space.step(state, decisions[-1])
    return agent.space.text(decisions)


def _trained(state: RunState, prefix: Net) -> tuple[int, Trial | None]:
    """How many nets that the agent was told of begin so, and the best that was trained, the first told among equals."""
    beginning = format_net(prefix).removesuffix("]")
    beginnings = (beginning + ",", beginning + "]") if prefix else ("[",)
    told = [
        trial for trial in state.trials.values() if trial.val_accuracy is not None and trial.net.startswith(beginnings)
    ]
    trained = (trial for trial in told if trial.was_trained)
    return len(told), max(trained, key=lambda trial: trial.val_accuracy or 0.0, default=None)


def _net_and_accuracy(trial: Trial | None) -> tuple[str | None, float | None]:
    return (trial.net, trial.val_accuracy) if trial else (None, None)


def _choice(moves: list[Move], epsilon: float) -> str:
    best = [move.layer for move in moves if move.is_best]
    explore = f"with probability {epsilon:.2f} it explores: any of the {len(moves)} layers, each as likely"
    tied = f"one of the {len(best)} layers that are tied at" if len(best) > 1 else f"{best[0]}, the best at"
    exploit = f"with probability {1 - epsilon:.2f} it takes {tied} Q = {moves[0].q_value:.4f}"
    return f"{explore}; {exploit}"
