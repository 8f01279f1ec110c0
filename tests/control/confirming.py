"""A run whose best net was only lucky, which its confirmation found out."""

from __future__ import annotations

from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from tests.control.world import Session, accuracy_of, result_for, settings

TOP, REPEATS, NETS = 3, 2, 8
LUCK = 0.8


def confirming(**more: object) -> Settings:
    chosen: dict[str, object] = {
        "search": {"method": "random", "confirm": {"top": TOP, "repeats": REPEATS}},
        "schedule__phases": [{"epsilon": 1.0, "unique": NETS}],
    }
    return settings(**(chosen | more))


class OneWasLucky:
    """A trainer: with other seeds, the best net so far falls by LUCK, and every other one falls by a hundredth; but its
    second repetition is the best training of each net.
    """

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._again: dict[str, int] = {}

    def __call__(self, store: Store, request: TrainingRequest, attempt: int) -> Phase:
        net = request.spec.net
        accuracy = accuracy_of(net)
        if not request.spec.recipe.seed:
            self._first[net] = accuracy
        else:
            self._again[net] = self._again.get(net, 0) + 1
            fall = LUCK if net == max(self._first, key=lambda one: self._first[one]) else 0.01
            accuracy = accuracy - fall if self._again[net] == 1 else accuracy + 0.001
        words = f"weights of {net}, {request.trial}".encode()
        artifact = artifacts.put(store, request.run, request.trial, "weights", words)
        result = result_for(request, attempt, weights=artifact, val_accuracy=min(1.0, max(0.0, accuracy)))
        store.put_if_absent(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED


def unlucky(store: Store, run: str = "test", **more: object) -> Session:
    """The session of such a run, which is over."""
    session = Session(store, confirming(**more), run=run)
    assert session.run_to_end(OneWasLucky()) is Outcome.GOAL
    session.hold.release()
    return session


def the_lucky_one(session: Session) -> Trial:
    """The trial of the highest first reward, which is not the winner."""
    return max((trial for trial in heads(session)), key=lambda trial: trial.reward or 0.0)


def heads(session: Session) -> list[Trial]:
    return [trial for trial in session.state.trials.values() if not trial.confirms]
