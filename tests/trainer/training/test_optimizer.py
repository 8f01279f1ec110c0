"""The optimisers, against torch's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.spaces.cnn.layer import Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.optimizer import Optimizer

RECIPES = {
    "adam": Recipe(adam_betas=(0.8, 0.99), weight_decay=0.01),
    "sgd": Recipe(optimizer="sgd", weight_decay=0.01),
    "sgd without momentum": Recipe(optimizer="sgd", momentum=0.0, weight_decay=0.0),
}


def model() -> nn.Module:
    net = parse_net("[C(8,3,1), P(2,2), FC(16), SM(10)]")
    return build_model(net, Shape(3, 8), ModelOptions(), {}, torch.Generator().manual_seed(1))


def backward(net: nn.Module, step: int) -> None:
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(step))
    F.cross_entropy(net(images), torch.arange(16) % 10).backward()


def torchs(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    decay = recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(
            net.parameters(), betas=recipe.adam_betas, eps=recipe.adam_epsilon, weight_decay=decay, fused=True
        )
    return torch.optim.SGD(net.parameters(), lr=1e-3, momentum=recipe.momentum, weight_decay=decay, fused=True)


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("name", RECIPES)
def test_it_does_what_torchs_does_bit_for_bit(name: str) -> None:
    recipe = RECIPES[name]
    ours, theirs = model(), model()
    mine, reference = Optimizer(ours, recipe), torchs(theirs, recipe)
    for step in range(6):
        rate = 0.01 if step < 3 else 0.002
        mine.set_rate(rate)
        reference.param_groups[0]["lr"] = rate
        mine.forget_gradients()
        reference.zero_grad()
        for net in (ours, theirs):
            backward(net, step)
        mine.step()
        reference.step()
        assert same(ours, theirs)
    assert not same(ours, model())


@pytest.mark.parametrize("name", RECIPES)
def test_it_goes_on_from_its_state(name: str) -> None:
    nets = [model(), model()]
    first, second = (Optimizer(net, RECIPES[name]) for net in nets)
    for optimizer in (first, second):
        optimizer.set_rate(0.01)
    for step in range(4):
        if step == 2:
            nets[1].load_state_dict(nets[0].state_dict())
            second.load(
                {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in first.state().items()}
            )
        for net, optimizer in list(zip(nets, (first, second), strict=True))[: 1 if step < 2 else 2]:
            optimizer.forget_gradients()
            backward(net, step)
            optimizer.step()
    assert same(*nets)


def test_a_state_of_something_else_is_refused() -> None:
    optimizer = Optimizer(model(), Recipe())
    state = optimizer.state()
    for forged in (
        {},
        state | {"steps": torch.zeros(3)},
        state | {"more": torch.zeros(())},
        Optimizer(model(), Recipe(optimizer="sgd")).state(),
    ):
        with pytest.raises(RuntimeError, match="of other parameters"):
            optimizer.load(forged)


def test_training_imports_no_compiler() -> None:
    program = (
        "import sys, torch; from torch import nn; from metaqnn_trainer.training.optimizer import Optimizer;"
        "from metaqnn_trainer.contract.messages import Recipe; import metaqnn_trainer.trial;"
        "net = nn.Linear(2, 2); optimizer = Optimizer(net, Recipe()); net(torch.ones(1, 2)).sum().backward();"
        "optimizer.step(); print('torch._dynamo' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
