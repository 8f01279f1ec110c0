"""A step in turns: each player has its loss, its parameters and its optimiser, and goes on where it was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import PluginRef, Recipe, TrainerOptions, TrialSpec
from metaqnn_trainer.errors import Preempted
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.training.checkpoint import Checkpoints
from metaqnn_trainer.training.optimizer import Optimizers
from metaqnn_trainer.training.outcome import Subject, Training
from metaqnn_trainer.training.recipe import derive_seed
from metaqnn_trainer.training.session import train
from tests.tasks.regression import Regression
from tests.tasks.test_regression import table
from tests.tasks.widths import Widths

BATCH, RATE = 100, 0.02


class Rivals(nn.Module):
    """Widths' net, and a rival that moves what the net is told."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.rival = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


class Contest(Regression):
    """The rival has two turns, in which it makes the error larger; the net has one."""

    def build(self, data: Any, generator: torch.Generator) -> nn.Module:
        return Rivals(super().build(data, generator))

    def turns(self) -> Sequence[str]:
        return "rival.", "rival.", "net."

    def turn_loss(self, turn: int, model: nn.Module, *batch: Tensor) -> Tensor:
        assert isinstance(model, Rivals)
        moved = batch[1] + model.rival(batch[0])[:, 0].tanh()
        error: Tensor = (model(batch[0])[:, 0] - moved).square().sum()
        return error if turn == 2 else -error


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def subject(store: DirectoryStore) -> Subject:
    ref, data = table()
    store.put(keys.dataset(ref.name, ref.digest), data)
    spec = TrialSpec(
        net="16-8",
        dataset=ref,
        space=PluginRef(name="widths"),
        task=PluginRef(name="contest"),
        recipe=Recipe(epochs=2, batch_size=BATCH, learning_rate=RATE, weight_decay=0.0),
    )
    task = task_of(spec, {"contest": Contest}.__getitem__, {"widths": Widths}.__getitem__)
    found = task.load(Reader(store), torch.device("cpu"))
    return Subject(task, found, torch.device("cpu"), task.cost(found))


def weights(training: Training) -> dict[str, Tensor]:
    assert training.weights is not None
    return training.weights


def same(first: Training, second: Training) -> bool:
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_each_turn_is_a_step_of_its_own_optimiser(store: DirectoryStore) -> None:
    """Against the loop that one would write with torch.optim, bit for bit."""
    asked = subject(store)
    task, data, recipe, digest = asked.task, asked.data, asked.spec.recipe, asked.spec.digest()
    seed = derive_seed(recipe, digest, 1, 0, "weights")
    torch.manual_seed(seed)
    model = task.build(data, torch.Generator().manual_seed(seed))
    assert isinstance(model, Rivals)
    theirs = {of: torch.optim.Adam(of.parameters(), lr=RATE, fused=True) for of in (model.rival, model.net)}
    best: list[tuple[float, dict[str, Tensor]]] = []
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(
            500, generator=torch.Generator().manual_seed(derive_seed(recipe, digest, 1, epoch, "order"))
        )
        model.train()
        for step, indices in enumerate(order.split(BATCH)):
            batch = task.batch(data, indices, torch.Generator())
            torch.manual_seed(derive_seed(recipe, digest, 1, epoch, "dropout", step))
            for turn, player in enumerate((model.rival, model.rival, model.net)):
                model.zero_grad()
                loss = task.turn_loss(turn, model, *batch)
                loss.backward(torch.full_like(loss, 1 / len(indices)))
                theirs[player].step()
        with torch.inference_mode():
            measures = task.evaluate(model.eval(), data, "validation", BATCH, lambda: None)
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        best.append((task.reward(measures), state))
    reward, state = max(best, key=lambda one: one[0])
    training = train(asked, lambda record: None)
    assert training.reward == reward > 0
    assert all(torch.equal(tensor, state[name]) for name, tensor in weights(training).items())


def test_interrupted_at_every_step_it_comes_out_the_same(store: DirectoryStore) -> None:
    asked = subject(store)
    whole = train(asked, lambda record: None)
    for steps in range(1, 12):
        kept, calls = Checkpoints(store, "a-run", asked.spec, 3600.0, pytest.fail), count(1)
        with pytest.raises(Preempted):
            train(asked, lambda record: None, TrainerOptions(), kept, lambda: next(calls) > steps)  # noqa: B023
        again = train(asked, lambda record: None, TrainerOptions(), kept)
        kept.remove()
        assert again.resumed_from is not None
        assert same(again, whole)


def test_what_has_no_parameters_has_no_turn() -> None:
    with pytest.raises(ValueError, match="no parameters whose names begin with 'critic'"):
        Optimizers(nn.Linear(2, 2), Recipe(), ["critic"])


@pytest.mark.parametrize("turns", [["", "net."], ["rival.", "net.0", "net."]])
def test_turns_that_share_parameters_are_refused(turns: list[str]) -> None:
    with pytest.raises(ValueError, match="share parameters"):
        Optimizers(Rivals(nn.Linear(2, 1)), Recipe(), turns)


def test_a_state_of_other_turns_is_refused() -> None:
    net, recipe = Rivals(nn.Linear(2, 1)), Recipe()
    apart, together = (Optimizers(net, recipe, turns) for turns in (["net.", "rival."], [""]))
    for one, other in ((apart, together), (together, apart)):
        with pytest.raises(RuntimeError, match="of other parameters"):
            one.load(other.state())
