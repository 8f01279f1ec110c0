"""Spiking nets and the score before training keep the laws of every task, and their own."""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
import torch
from snntorch import SpikingNeuron
from tests.cli.conftest import Cli, cli
from tests.plugins.own_data import check_followed, coloured
from tests.tasks.behaviour import Behaviour
from torch import Tensor, nn

from metaqnn_spiking.kernel import kernel_score
from metaqnn_spiking.neurons import Neurons, SpikingNet
from metaqnn_spiking.results import TrainedNet, interval, predicts, ranks, spearman
from metaqnn_spiking.tasks import Spiking
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, PluginRef, Recipe, TrialSpec
from metaqnn_trainer.images.dataset import Dataset, normalised
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.sources.make import MadeDataset, make_dataset
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import task_of

__all__ = ["cli"]

CPU: Final = torch.device("cpu")


@cache
def digits() -> MadeDataset:
    return make_dataset("digits")


def asked(task: str, net: str, dataset: DatasetRef, recipe: Recipe | None = None, **options: Any) -> TrialSpec:
    return TrialSpec(
        net=net,
        dataset=dataset,
        image_size=8,
        model=ModelOptions(batch_norm=True),
        task=PluginRef(name=task, options=options),
        recipe=recipe or Recipe(batch_size=64),
    )


def test_images_of_ones_own_need_not_be_described(cli: Cli, tmp_path: Path) -> None:
    made = coloured(tmp_path / "pets", 12, 3)
    check_followed(cli, tmp_path, "digits-spiking", made, {"image_size": 12, "channels": 3, "classes": 3})


class TestSpiking(Behaviour):
    """The laws of every task. `spiking` is derived from `scored-classification`, which they cover, too."""

    classes = 10
    hopeless: ClassVar[dict[str, Any]] = {"optimizer": "sgd", "learning_rate": 1e-9}

    def put_dataset(self, store: DirectoryStore) -> DatasetRef:
        made = digits()
        store.put(keys.dataset(made.ref.name, made.ref.digest), made.data)
        return made.ref

    def spec(self, dataset: DatasetRef, **recipe: Any) -> TrialSpec:
        values = {"epochs": 2, "batch_size": 512, "learning_rate": 0.02, "dropout": "none", **recipe}
        net = "[C(8,3,1), P(2,2), FC(32), SM(10)]"
        return asked("spiking", net, dataset, Recipe(**values), steps=2, score_images=16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    store = DirectoryStore(tmp_path_factory.mktemp("spiking"))
    store.put(keys.dataset(digits().ref.name, digits().ref.digest), digits().data)
    return store


def built(store: DirectoryStore, spec: TrialSpec, seed: int = 0) -> tuple[Any, Dataset, nn.Module]:
    task = task_of(spec)
    data = task.load(Reader(store), CPU)
    return task, data, task.build(data, torch.Generator().manual_seed(seed))


def by_hand(currents: list[float], leak: float, threshold: float) -> list[float]:
    potential, spikes, spiked = 0.0, list[float](), False
    for current in currents:
        potential = leak * potential + current - threshold * spiked
        spiked = potential > threshold
        spikes.append(float(spiked))
    return spikes


def test_neurons_leak_fire_and_are_reset() -> None:
    currents = torch.tensor([0.6, 0.6, 0.6, 0.0, 2.5, 0.0, 0.0]).view(-1, 1)
    found = Neurons(7, 0.9, 1.0)(currents).flatten().tolist()
    assert found == by_hand(currents.flatten().tolist(), 0.9, 1.0)
    assert found == [0, 1, 0, 0, 1, 1, 0]
    assert sum(Neurons(7, 0.0, 1.0)(currents).flatten().tolist()) == 1, "all of it leaks: the small ones never add up"


def test_each_example_has_potentials_of_its_own_and_none_outlives_a_batch() -> None:
    neurons = Neurons(2, 0.9, 1.0)
    together = torch.tensor([[0.6], [0.0], [0.6], [2.0]])  # step 1 of both, step 2 of both
    assert neurons(together).flatten().tolist() == [0, 0, 1, 1]
    assert neurons(together[:, :0]).shape == (4, 0)
    assert neurons(together).flatten().tolist() == [0, 0, 1, 1]


def test_a_spike_has_a_gradient_and_the_graph_is_let_go() -> None:
    neurons, currents = Neurons(2, 0.9, 1.0), torch.full((4, 3), 0.6, requires_grad=True)
    neurons(currents).sum().backward()
    assert currents.grad is not None
    assert (currents.grad > 0).all()
    assert neurons not in SpikingNeuron.instances
    assert not [each for each in SpikingNeuron.instances if isinstance(each, nn.Module)]


def test_parameters_have_the_names_of_the_ordinary_net(store: DirectoryStore) -> None:
    net = "[C(8,3,1), P(2,2), RES(8,3,1), FC(16), SM(10)]"
    spiking, ordinary = (
        built(store, asked(name, net, digits().ref))[2] for name in ("spiking", "scored-classification")
    )
    assert {name: tensor.shape for name, tensor in spiking.state_dict().items()} == {
        name: tensor.shape for name, tensor in ordinary.state_dict().items()
    }
    assert [type(module).__name__ for module in spiking.children()][:4] == [
        "SameConv2d",
        "BatchNorm2d",
        "Neurons",
        "MaxPool2d",  # spikes are pooled, not currents
    ]
    assert sum(isinstance(module, Neurons) for module in spiking.modules()) == 4  # two of them in the residual block
    assert not [module for module in spiking.modules() if isinstance(module, nn.ReLU | nn.ELU)]


def test_logits_are_the_mean_of_all_steps() -> None:
    net = SpikingNet(nn.Sequential(nn.ReLU()), 4, lambda: Neurons(4, 1.0, 1.0))
    images = torch.tensor([[0.3], [0.6], [5.0]])
    assert net(images).flatten().tolist() == [0.25, 0.5, 1.0]


def test_spikes_are_counted_an_image(store: DirectoryStore) -> None:
    task, data, model = built(store, asked("spiking", "[C(8,3,1), SM(10)]", digits().ref, steps=3))
    model.eval()
    found = task.evaluate(model, data, "validation", 100, lambda: None)
    images = data.validation.images
    assert isinstance(model, SpikingNet)
    currents = model[1](model[0](normalised(images, data.mean, data.std))).detach()
    potential, spiked, total = torch.zeros_like(currents), torch.zeros_like(currents), 0.0
    for _ in range(3):
        potential = 0.9 * potential + currents - spiked
        spiked = (potential > 1).float()
        total += spiked.sum().item()
    assert found["spikes"] == pytest.approx(total / len(images), rel=1e-3)
    assert task.evaluate(model, data, "validation", 17, lambda: None)["spikes"] == pytest.approx(found["spikes"])


def test_an_evaluation_that_is_broken_off_leaves_no_counter_behind(store: DirectoryStore) -> None:
    task, data, model = built(store, asked("spiking", "[C(8,3,1), SM(10)]", digits().ref))

    def pause() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.evaluate(model.eval(), data, "validation", 100, pause)
    assert not [module for module in model.modules() if module._forward_hooks]


@pytest.mark.parametrize(("spikes", "learned"), [(0.0, False), (0.5, True)])
def test_what_never_spikes_has_learned_nothing(store: DirectoryStore, spikes: float, learned: bool) -> None:
    task, data, _ = built(store, asked("spiking", "[C(8,3,1), SM(10)]", digits().ref))
    assert isinstance(task, Spiking)
    assert task.learned({"accuracy": 0.9, "spikes": spikes}, data) is learned


def test_all_steps_need_memory(store: DirectoryStore) -> None:
    need = {}
    for steps in (1, 8):
        task, data, _ = built(store, asked("spiking", "[C(64,3,1), SM(10)]", digits().ref, steps=steps))
        need[steps] = task.memory(data, 64)
    assert need[8] > 4 * need[1]


class Fixed(nn.Module):
    """Gives fixed patterns, one a step, to the activation behind it."""

    def __init__(self, *patterns: list[list[float]]) -> None:
        super().__init__()
        self.patterns = torch.tensor(patterns).flatten(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.patterns.clone()


def test_the_kernel_counts_units_on_which_images_agree() -> None:
    images = torch.zeros(2, 1, 1, 1)
    one_step = nn.Sequential(Fixed([[1.0, -1, -1, 2], [1, -1, 1, -3]]), nn.ReLU())
    assert kernel_score(one_step, images) == pytest.approx(math.log(5 * 5 - 2 * 2))  # 4 units and 1; they agree on 2
    steps = nn.Sequential(Fixed([[2.0, 0], [0, 0]], [[0, 0], [0, 0]]), Neurons(2, 0.0, 1.0))
    assert kernel_score(steps, images) == pytest.approx(math.log(5 * 5 - 3 * 3))  # 2 units in 2 steps
    alike = nn.Sequential(Fixed([[1.0], [1.0]]), nn.ReLU())
    assert kernel_score(alike, images) == pytest.approx(math.log(2 * 2 - 1))


def test_the_score_follows_from_the_seed_and_is_that_of_the_untrained_net(store: DirectoryStore) -> None:
    for name in ("spiking", "scored-classification"):
        spec = asked(name, "[C(8,3,1), P(2,2), DSC(8,3,1), FC(16), SM(10)]", digits().ref)
        task, data, model = built(store, spec)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        score = task.evaluate(model.eval(), data, "validation", 64, lambda: None)["kernel_score"]
        assert score == built(store, spec)[2].get_buffer("kernel_score").item()
        assert score != built(store, spec, seed=1)[2].get_buffer("kernel_score").item()
        for parameter in model.parameters():
            parameter.data.zero_()
        assert task.evaluate(model, data, "validation", 64, lambda: None)["kernel_score"] == score
        assert "kernel_score" not in before
        norm = next(module for module in built(store, spec)[2].modules() if isinstance(module, nn.BatchNorm2d))
        assert norm.running_mean is not None
        assert not norm.running_mean.any(), "scoring leaves the net as it was"


def test_rank_correlation() -> None:
    assert ranks([3.0, 1.0, 2.0, 2.0]) == [4.0, 1.0, 2.5, 2.5]
    assert spearman([1, 2, 3, 4], [10, 20, 30, 400]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3], [5, 5, 5]) == 0
    nets = [
        TrainedNet("", {"kernel_score": number, "params": -number}, number / 50) for number in map(float, range(40))
    ]
    for measure, found in {"kernel_score": "1.000 [1.000, 1.000]", "params": "-1.000 [-1.000, -1.000]"}.items():
        assert interval(nets, partial(predicts, measure=measure), 200) == found
