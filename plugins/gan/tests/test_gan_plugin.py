"""Cells, their generators and their task keep the laws of every space and task, and their own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from tests.cli.conftest import Cli, cli
from tests.plugins.own_data import check_followed, coloured
from tests.spaces.behaviour import SpaceBehaviour
from tests.spaces.test_spaces import IMAGES
from tests.tasks.behaviour import RUN, Behaviour
from torch import nn

from metaqnn_gan.judge import DIGITS_RECIPE, SPEC, WEIGHTS, judge_in
from metaqnn_gan.nets import Generator, critic
from metaqnn_gan.space import Cell, GeneratorCells, GeneratorOptions
from metaqnn_gan.task import Generation, Reference, as_bytes, distance, likeness
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, PluginRef, Recipe, TrialSpec
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.reading import DatasetObject, Tensors, parse_object
from metaqnn_trainer.sources.base import Examples
from metaqnn_trainer.sources.make import MadeDataset, encode_examples, make_dataset
from metaqnn_trainer.spaces.base import IllegalDesign, Space
from metaqnn_trainer.store.directory import DirectoryStore

__all__ = ["cli"]

SMALL: Final[dict[str, Any]] = {"image_size": 8, "width": 4, "latent": 6}
PLAIN: Final = "post batch deconv plain; post batch deconv plain skip=none; post batch deconv plain skip=none"
MIXED: Final = "pre none nearest short; post instance bilinear plain skip=1; pre batch deconv short skip=1+2"


def cells(**options: Any) -> GeneratorCells:
    return GeneratorCells(GeneratorOptions(**{**SMALL, **options}), ModelOptions())


@pytest.fixture(scope="module")
def made() -> MadeDataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metaqnn_gan.judge.DIGITS_RECIPE", DIGITS_RECIPE.model_copy(update={"epochs": 8}))
        return make_dataset("judged-digits")


class TestSpace(SpaceBehaviour):
    datasets = (IMAGES.model_copy(update={"image_size": 39}),)

    @pytest.fixture(params=[{"cells": 1, "norms": ("instance", "none")}, {"cells": 4, "image_size": 16}], ids=str)
    def space(self, request: pytest.FixtureRequest) -> Space:
        return cells(**request.param)


def test_images_of_ones_own_need_not_be_described(made: MadeDataset, cli: Cli, tmp_path: Path) -> None:
    """Their size is the preset's, to which they are resized, or else their own, as far as three cells make it."""
    pets, judge = coloured(tmp_path / "pets", 20, 2), parse_object(made.data, "digits")
    judged = Examples({SPEC: judge.tensors[SPEC].numpy()}, {**pets.info.model_dump(exclude={"name"})})
    own = encode_examples("judged", judged)
    check_followed(cli, tmp_path, "gan-digits", own, {"image_size": 8, "channels": 3})
    (tmp_path / "own.yaml").write_text("dataset: {name: judged}\nspace: {family: generator-cells}\n")
    shown = cli("config", "show", tmp_path / "own.yaml", "--store", tmp_path / "own", "-o", "json").json()
    assert shown["space.image_size"]["value"] == 16


class TestTask(Behaviour):
    classes: ClassVar[int | None] = None
    pictures: ClassVar[set[str]] = {"samples"}
    # With this decay every step multiplies the weights by less than -5, until they are no numbers.
    hopeless: ClassVar[dict[str, Any]] = {
        "optimizer": "sgd",
        "learning_rate": 10.0,
        "weight_decay": 1.0,
        "restart_factor": 0.9,
        "batch_size": 5,
        "max_rates": 2,
    }

    @pytest.fixture(autouse=True)
    def _made(self, made: MadeDataset) -> None:
        self.made = made

    def put_dataset(self, store: DirectoryStore) -> DatasetRef:
        """Some of the digits: tests train many nets."""
        few = encode_examples("few", fewer(self.made, 60))
        store.put(keys.dataset(few.ref.name, few.ref.digest), few.data)
        return few.ref

    def spec(self, dataset: DatasetRef, **recipe: Any) -> TrialSpec:
        recipe["epochs"] = min(recipe.get("epochs", 2), 8)
        return TrialSpec(
            net="post instance bilinear short; pre batch deconv plain skip=1",
            dataset=dataset,
            image_size=8,
            space=PluginRef(name="generator-cells", options={**SMALL, "cells": 2}),
            task=PluginRef(name="generation", options={"samples": 64, "critic_width": 4, "critic_turns": 2}),
            recipe=Recipe(**({"batch_size": 20, "learning_rate": 0.002, "weight_decay": 0.0} | recipe)),
        )

    def test_a_dataset_without_a_judge_is_refused(self, store: DirectoryStore) -> None:
        plain = make_dataset("digits")
        store.put(keys.dataset(plain.ref.name, plain.ref.digest), plain.data)
        report = self.carry_out(store, self.ask(store, self.spec(plain.ref)))
        assert report.exit_code == ExitCode.DATASET
        assert "digits has no judge" in report.reason

    def test_a_trained_net_becomes_the_judge(self, store: DirectoryStore, tmp_path: Path) -> None:
        digits = make_dataset("digits")
        store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)
        recipe = Recipe(epochs=1, batch_size=16, dropout="none")
        trial = self.ask(store, TrialSpec(net="[FC(32), SM(10)]", dataset=digits.ref, image_size=8, recipe=recipe))
        assert self.carry_out(store, trial).exit_code == ExitCode.DELIVERED
        folder = tmp_path / "store" / keys.trial(RUN, trial)
        for name in ("judged", "judged-digits"):
            again = make_dataset(name, folder)
            assert again.info.facts["judge"] == f"trial {trial} of run {RUN}"
            found = parse_object(again.data, name)
            images, labels = (
                found.tensors[f"train_{one}"][found.tensors["val_indices"]] for one in ("images", "labels")
            )
            right = (judge_in(found).logits(images).argmax(1) == labels).double().mean().item()
            assert right == pytest.approx(again.info.facts["judge_accuracy"])
        with pytest.raises(RequestError, match="is not complete"):
            make_dataset("judged", folder.with_name("0123456789ab"))

    def test_the_sheet_shows_what_the_best_weights_make(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        result = self.delivered(store, spec)
        data = artifacts.read(store, RUN, spec.trial_id(), "picture-samples", result.pictures["samples"])
        with Image.open(io.BytesIO(data)) as image:
            assert (image.size, image.mode) == ((320, 320), "L")
        assert len(data) < 100_000


def fewer(made: MadeDataset, count: int) -> Examples:
    """The dataset with so many images in each part."""
    info, tensors = parse_object(made.data, "digits")
    kept = torch.cat([tensors["train_indices"][:count], tensors["val_indices"][:count]])
    changed = {
        "train_images": tensors["train_images"][kept],
        "train_labels": tensors["train_labels"][kept],
        "train_indices": torch.arange(count),
        "val_indices": torch.arange(count, 2 * count),
        "test_images": tensors["test_images"][:count],
        "test_labels": tensors["test_labels"][:count],
    }
    numbers = {name: tensor.numpy() for name, tensor in {**tensors, **changed}.items()}
    sizes = dict.fromkeys(("train", "validation", "test"), count)
    return Examples(numbers, {**info.model_dump(exclude={"name"}), **sizes})


def test_a_design_is_read_as_it_is_written() -> None:
    assert cells().cells(MIXED) == [
        Cell("pre none nearest short", "pre", "none", "nearest", shortcut=True, skips=()),
        Cell("post instance bilinear plain skip=1", "post", "instance", "bilinear", shortcut=False, skips=(1,)),
        Cell("pre batch deconv short skip=1+2", "pre", "batch", "deconv", shortcut=True, skips=(1, 2)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "batch",
        "pre batch nearest",
        "pre batch nearest short skip=none",
        f"{PLAIN}; {PLAIN}",
        f"{PLAIN}; pre",
        "x",
    ],
)
def test_what_is_no_design_is_refused(text: str) -> None:
    with pytest.raises(NotationError):
        cells().describe(text)


def test_a_batch_of_one_image_is_trained_with_too() -> None:
    """The last batch of an epoch may have no second one, and the first cell of small images one pixel."""
    design = PLAIN.replace("post", "pre").replace("none", "1", 1)
    made = Generator(cells(), design).train()(torch.randn(1, 6))
    assert made.isfinite().all()


def test_one_pixel_is_not_normalised_by_itself() -> None:
    assert cells().following("pre") == ["none", "batch"]
    assert cells().following("post") == cells(image_size=16).following("pre") == ["none", "batch", "instance"]
    with pytest.raises(IllegalDesign, match="choice 2, instance"):
        cells().walk("pre instance")


def test_there_are_as_many_designs_as_autogan_has() -> None:
    def below(space: GeneratorCells, state: Any) -> int:
        after = [space.step(state, move) for move in space.legal(state)]
        return sum(1 if one is None else below(space, one) for one in after)

    assert below(cells(cells=1, image_size=4), ()) == 2 * 3 * 3 * 2
    assert [len(cells(image_size=16).legal(("",) * count)) for count in (8, 13)] == [2, 4]


@pytest.mark.parametrize(
    "wrong", [{"image_size": 12}, {"image_size": 4}, {"norms": ()}, {"norms": ("instance",)}, {"upsamplings": ("x",)}]
)
def test_spaces_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        cells(**wrong)


@pytest.mark.parametrize("design", [PLAIN, MIXED])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_cost_is_that_of_the_modules(design: str, channels: int) -> None:
    """Parameters, and what convolutions and the linear layer multiply, counted while they run."""
    space = cells(channels=channels, image_size=16)
    generator = Generator(space, design)
    macs = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal macs
        weights = module.weight.numel() if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d) else 0
        pixels = output[0, 0].numel() if output.dim() == 4 else 1
        macs += weights * pixels // (4 if isinstance(module, nn.ConvTranspose2d) else 1)  # each output has one term

    for module in generator.modules():
        module.register_forward_hook(count)
    made = generator(torch.randn(2, 6))
    assert made.shape == (2, channels, 16, 16)
    assert made.abs().max() <= 1
    assert space.cost(design) == (sum(each.numel() for each in generator.parameters()), macs)
    assert space.describe(design)[-1].shape == (channels, 16, 16)


def test_the_critics_weights_have_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    net = critic(1, 8, 8).train()
    for _ in range(50):
        assert net(torch.randn(4, 1, 8, 8)).shape == (4,)
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2).item()
            assert largest == pytest.approx(1, abs=0.02)


def test_the_distance_is_that_of_the_definition() -> None:
    """Against the root of the product of covariances, computed by scipy."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(50, 6)), rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + 1
    covariances = [np.cov(x, rowvar=False) for x in (one, other)]
    apart = one.mean(0) - other.mean(0)
    wanted = apart @ apart + np.trace(sum(covariances) - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    first, second = torch.from_numpy(one), torch.from_numpy(other)
    assert distance(first, second) == pytest.approx(wanted, rel=1e-6)
    assert distance(second, first) == pytest.approx(wanted, rel=1e-6)
    assert distance(first, first) == pytest.approx(0, abs=1e-6)
    same = torch.ones(5, 6, dtype=torch.float64)
    assert distance(same, second) == pytest.approx(((other.mean(0) - 1) ** 2).sum() + np.trace(covariances[1]))


def test_the_reward_goes_by_the_logarithm_from_blank_to_real_images() -> None:
    reference = Reference(torch.randn(5, 2), blank=100.0, real=1.0)
    found = [likeness(frechet, reference) for frechet in (200.0, 100.0, 10.0, 1.0, 0.1)]
    assert found == pytest.approx([0, 0, 0.5, 1, 1])


def test_bytes_and_numbers_are_each_others_opposite() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(as_bytes(every.float() / 127.5 - 1), every)


def test_turns_and_their_losses(made: MadeDataset) -> None:
    """The hinge loss, of each player's parameters alone."""
    options = Generation.Options(critic_turns=2, samples=64)
    task = Generation(TrialSpec(net=PLAIN, dataset=made.ref, image_size=8), options, cells())
    assert task.turns() == ("critic.", "critic.", "generator.")
    generator, rival = Generator(cells(), PLAIN), critic(1, 8, 4)
    players = nn.ModuleDict({"generator": generator, "critic": rival})
    players.eval()  # in training each use of the critic changes it a little
    images, latent = torch.rand(3, 1, 8, 8), torch.randn(3, 3, 6)
    wanted = (1 - rival(images)).clamp(min=0).sum() + (1 + rival(generator(latent[:, 1]).detach())).clamp(min=0).sum()
    loss = task.turn_loss(1, players, images, latent)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    loss.backward()
    assert all(each.grad is None for each in generator.parameters())
    assert all(each.grad is not None for each in rival.parameters())
    wanted = -rival(generator(latent[:, 2])).sum()
    assert task.turn_loss(2, players, images, latent).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_judge_does_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaqnn_gan.judge.DIGITS_RECIPE", DIGITS_RECIPE.model_copy(update={"epochs": 1}))
    before, found = torch.get_num_threads(), list[DatasetRef]()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(make_dataset("judged-digits").ref)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_dataset_says_who_judges(made: MadeDataset) -> None:
    assert float(made.info.facts["judge_accuracy"]) > 0.9
    assert (made.info.image_size, made.info.classes) == (8, 10)


def test_a_source_names_a_trial(tmp_path: Path) -> None:
    for name, path in (("judged", None), ("judged-fashion-mnist", tmp_path), ("judged-digits", Path("/"))):
        with pytest.raises(DatasetError, match="--source STORE/runs/RUN/trials/TRIAL"):
            make_dataset(name, path)


def test_a_judge_that_is_none_is_refused(made: MadeDataset) -> None:
    found = parse_object(made.data, "digits")
    for name, tensor in ((SPEC, torch.zeros(4, dtype=torch.uint8)), (f"{WEIGHTS}more", torch.zeros(1))):
        forged = DatasetObject(found.info, Tensors("forged", {**found.tensors, name: tensor}))
        with pytest.raises(DatasetError, match="judge"):
            judge_in(forged)
