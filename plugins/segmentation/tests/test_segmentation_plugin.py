"""Residual U-Nets and their task keep the laws of every space and task, and their own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar, Final

import nibabel
import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.cli.conftest import Cli, cli
from tests.control.world import Session, settings
from tests.plugins.own_data import check_followed
from tests.spaces.behaviour import SpaceBehaviour
from tests.tasks.behaviour import Behaviour
from torch import Tensor, nn

from metaqnn_orch import Search
from metaqnn_orch.launchers.base import Phase
from metaqnn_segmentation.__main__ import averaged, main
from metaqnn_segmentation.datasets import PARTS, Case, examples, read_head
from metaqnn_segmentation.space import ResidualUNets, UNetOptions
from metaqnn_segmentation.task import ResidualUNet, Segmentation, dice
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, PluginRef, Recipe, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import ExitCode, TrainingResult
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.errors import DatasetError, RunFault
from metaqnn_trainer.reading import DatasetObject, Reader
from metaqnn_trainer.sources.make import MadeDataset, encode_examples, make_dataset
from metaqnn_trainer.spaces.base import Space
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.trial import Trainer

__all__ = ["cli"]

DESIGN: Final = "levels=2 filters=4 first=3 second=1 third=1 activation=relu dropout=0.1 merge=sum learning_rate=0.01"
HOPELESS: Final[dict[str, Any]] = {
    **{"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1.0},  # weights grow until they are no numbers
    **{"batch_size": 1, "max_rates": 1},
}
KINDS: Final[list[dict[str, Any]]] = [
    {"shape": (16, 24), "channels": 3, "classes": 2},
    {"shape": (4, 8, 8), "channels": 1, "classes": 3, "filters": (2, 3)},
]


def nets(**options: Any) -> ResidualUNets:
    return ResidualUNets(UNetOptions(**options), ModelOptions())


def drawn(space: Space, rng: random.Random) -> str:
    moves, state = list[Any](), space.start
    while state is not None:
        moves.append(rng.choice(space.legal(state)))
        state = space.step(state, moves[-1])
    return space.text(moves)


def made(edges: tuple[int, ...], count: int) -> MadeDataset:
    """Bright boxes on noise, so many cases in each part."""
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(3 * count):
        labels = np.zeros(edges, np.int64)
        labels[tuple(slice(at, at + 3) for at in rng.integers(0, np.array(edges) - 3))] = 1
        cases.append(Case((3.0 * labels + rng.normal(size=edges))[None], labels))
    parts = {part: cases[place::3] for place, part in enumerate(PARTS)}
    return encode_examples("boxes", examples(parts, "boxes"))


def put(store: DirectoryStore, edges: tuple[int, ...], count: int = 12) -> DatasetRef:
    found = made(edges, count)
    store.put(keys.dataset(found.ref.name, found.ref.digest), found.data)
    return found.ref


def asked(dataset: DatasetRef, shape: tuple[int, ...], **recipe: Any) -> TrialSpec:
    return TrialSpec(
        net=DESIGN,
        dataset=dataset,
        space=PluginRef(name="residual-unet", options={"shape": list(shape)}),
        task=PluginRef(name="segmentation"),
        recipe=Recipe(**({"epochs": 2, "batch_size": 16, "learning_rate": 0.02} | recipe)),
    )


class TestSpace(SpaceBehaviour):
    datasets = (made((16, 32), 1).info, made((8, 16, 24), 1).info)

    @pytest.fixture(params=[KINDS[0], {"shape": (8, 8, 8), "levels": (2, 4), "merge": ("sum",)}], ids=str)
    def space(self, request: pytest.FixtureRequest) -> Space:
        return nets(**request.param)


class TestTask(Behaviour):
    hopeless: ClassVar[dict[str, Any]] = HOPELESS

    def put_dataset(self, store: DirectoryStore) -> DatasetRef:
        return put(store, (8, 8), 32)

    def spec(self, dataset: DatasetRef, **recipe: Any) -> TrialSpec:
        return asked(dataset, (8, 8), **recipe)


def multiplied(model: nn.Module) -> list[int]:
    """Filled in while the model computes: the products of each convolution, for one case. Each value behind one, or
    before a transposed one, takes part in as many as a filter has weights.
    """
    counted = list[int]()

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        values = inputs[0] if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d) else output
        counted.append(values[0].numel() * module.get_parameter("weight")[0].numel())

    for module in model.modules():
        if hasattr(module, "kernel_size") and not isinstance(module, nn.MaxPool2d | nn.MaxPool3d):
            module.register_forward_hook(count)
    return counted


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_costs_are_those_of_the_modules(options: dict[str, Any]) -> None:
    space, rng = nets(**options), random.Random(0)
    for design in {drawn(space, rng) for _ in range(6)}:
        model, cost = ResidualUNet(space, design).eval(), space.cost(design)
        assert cost.params == sum(parameter.numel() for parameter in model.parameters())
        x = torch.zeros(2, space.options.channels, *space.options.shape)
        counted = multiplied(model)
        with torch.no_grad():
            logits = model(x)
        assert logits.shape == (2, space.options.classes, *space.options.shape)
        assert sum(counted) == cost.macs


def test_levels_that_do_not_fit_are_no_choice() -> None:
    assert nets(shape=(8, 16)).legal(()) == ("levels=2", "levels=3")
    assert nets(shape=(12, 16)).legal(()) == ("levels=2", "levels=3")
    with pytest.raises(ValueError, match="no value of"):
        nets(shape=(9, 9), levels=(2, 3))
    with pytest.raises(NotationError, match="'levels=4' is none of levels=2, levels=3"):
        nets(shape=(8, 8)).check(DESIGN.replace("levels=2", "levels=4"))


WRONG: Final = {
    f"{DESIGN} levels=2": "a whole design has 9 choices, not 10",
    DESIGN.rpartition(" ")[0]: "a whole design has 9 choices, not 8",
    DESIGN.replace("levels=2", "filters=2"): "'filters=2' is none of levels=2, levels=3, levels=4",
    DESIGN.replace("first=3", "first=2"): "'first=2' is none of first=1, first=3, first=5",
    DESIGN.replace("filters=4", "filters=4.0"): "is none of filters=4, filters=8, filters=16",
}


@pytest.mark.parametrize("text", WRONG, ids=WRONG.values())
def test_what_is_no_design_is_refused(text: str) -> None:
    with pytest.raises(NotationError, match=WRONG[text]):
        nets().describe(text)


def test_a_design_says_its_learning_rate() -> None:
    assert nets().recipe(DESIGN, Recipe(epochs=3)) == Recipe(epochs=3, learning_rate=0.01)


def test_slices_are_of_volumes_and_other_data_are_refused() -> None:
    info = made((8, 16, 24), 1).info
    assert nets(shape=(8, 16, 24)).mismatches(info) == {}
    assert nets(shape=(16, 24)).mismatches(info) == {}
    assert nets(shape=(8, 16), classes=3).mismatches(info) == {
        "space.shape": ([8, 16], [16, 24]),
        "space.classes": (3, 2),
    }
    assert "space.shape" in nets(shape=(8, 16, 24)).mismatches(made((16, 24), 1).info)


def task_for(store: DirectoryStore, spec: TrialSpec) -> tuple[Segmentation, DatasetObject]:
    task = task_of(spec)
    assert isinstance(task, Segmentation)
    data = task.load(Reader(store), torch.device("cpu"))
    return task, data


def test_slices_are_trained_on_and_volumes_are_measured(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    ref = put(store, (8, 8, 16), 2)
    task, data = task_for(store, asked(ref, (8, 16)))
    x, y = data.tensors["train_x"], data.tensors["train_y"]
    assert (task.examples(data, "train"), x.shape) == (16, (2, 1, 8, 8, 16))
    some, named = task.batch(data, torch.tensor([0, 7, 8, 15]), torch.Generator())
    assert torch.equal(some, torch.stack([x[0, :, 0], x[0, :, 7], x[1, :, 0], x[1, :, 7]]))
    assert torch.equal(named, torch.stack([y[0, 0], y[0, 7], y[1, 0], y[1, 7]]))
    model = task.build(data, torch.Generator()).eval()
    with torch.no_grad():
        found = task.probabilities(model, data, "train", 3, lambda: None)
        alone = model(x[1, :, 5][None]).softmax(1)[0]
    assert found.shape == (2, 2, 8, 8, 16)
    assert torch.allclose(found[1, :, 5], alone, atol=1e-6)


def test_a_space_of_other_data_is_no_trial(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    ref = put(store, (8, 8), 2)
    task, data = task_for(store, asked(ref, (8, 16)))
    with pytest.raises(RunFault, match="has no nets for the dataset boxes"):
        task.build(data, torch.Generator())


def test_dice_is_the_overlap_of_the_classes_that_a_case_has() -> None:
    true = torch.tensor([[0, 0, 1, 1], [0, 2, 2, 2], [0, 0, 0, 0]])
    named = torch.tensor([[0, 1, 1, 1], [1, 2, 2, 0], [0, 0, 1, 1]])
    assert dice(named, true, 3) == pytest.approx((2 * 2 / 5 + 2 * 2 / 5) / 2)
    assert dice(true, true, 3) == 1
    assert dice(torch.zeros_like(true), true, 3) == 0
    assert dice(named[2:], true[2:], 3) == 0


def searched(store: DirectoryStore, run: str, shape: tuple[int, ...], data: MadeDataset, **recipe: Any) -> None:
    """A run of one net, which is really trained."""
    store.put(keys.dataset(data.ref.name, data.ref.digest), data.data)

    def train(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        order = WorkOrder(store=".", run=run, trial=request.trial, attempt=attempt)
        report = Trainer(1, lambda: False, opened=lambda uri: store).carry_out(order)
        assert report.exit_code == ExitCode.DELIVERED, report.reason
        return Phase.DELIVERED

    space: dict[str, Any] = {"family": "residual-unet", "shape": [*shape], "levels": [2], "filters": [4]}
    space |= {"first": [3], "activation": ["relu"], "dropout": [0], "merge": ["sum"], "learning_rate": [0.01]}
    wanted = settings(
        dataset=data.ref.model_dump(),
        space=space,
        task={"name": "segmentation"},
        search={"method": "random"},
        schedule={"phases": [{"epsilon": 1.0, "unique": 1}]},
        recipe={"epochs": 2, "batch_size": 8, "max_rates": 1, "dropout": "none", **recipe},
    )
    Session(store, wanted, run=run, dataset=data.ref, info=data.info).run_to_end(train, parallel=1)


def test_the_average_is_the_mean_of_the_probabilities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, data = DirectoryStore(tmp_path), made((8, 8, 8), 12)
    probabilities = []
    for run, shape in (("flat", (8, 8)), ("solid", (8, 8, 8))):
        searched(store, run, shape, data)
        best = Search(run, tmp_path).best
        assert best is not None
        task, found = task_for(store, Reader(store).spec(run, best.trial))
        model = task.build(found, torch.Generator()).eval()
        result = decode(TrainingResult, store.get(keys.result(run, best.trial)), "result.json")
        assert result.weights is not None
        model.load_state_dict(safetensors.torch.load(artifacts.read(store, run, best.trial, "weights", result.weights)))
        with torch.no_grad():
            probabilities.append(task.probabilities(model, found, "test", 8, lambda: None).numpy().astype(np.float64))
    named = torch.from_numpy((probabilities[0] + probabilities[1]).argmax(1))
    both = averaged(["flat", "solid"], str(tmp_path))
    assert [*both][-1] == "their average"
    assert both["their average"] == pytest.approx(dice(named, found.tensors["test_y"], 2))
    main(["flat", "solid", "--store", str(tmp_path)])
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == [f"{value:.4f}  {name}" for name, value in both.items()]
    alone = averaged(["flat", "flat"], str(tmp_path))
    assert len({*alone.values()}) == 1


def test_runs_that_have_no_average_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = DirectoryStore(tmp_path)
    searched(store, "first", (8, 8), made((8, 8), 32), epochs=1)
    searched(store, "other", (8, 8), made((8, 8), 33), epochs=1)
    Session(store, settings(), run="empty").open()
    Session(store, settings(), run="digits").run_to_end()
    wrong = {
        "empty": "run empty has no trained net yet",
        "nowhere": "nowhere",
        "other": "run other segments nothing, or has another dataset than run first",
        "digits": "run digits segments nothing, or has another dataset than run first",
    }
    for run, text in wrong.items():
        with pytest.raises(SystemExit) as left:
            main(["first", run, "--store", str(tmp_path)])
        said = capsys.readouterr()
        assert (left.value.code, said.out) == (2, "")
        assert text in said.err
        assert "hint: " in said.err


def save(values: NDArray[np.uint8], path: Path) -> None:
    image = nibabel.nifti1.Nifti1Image(values, np.eye(4))  # type: ignore[no-untyped-call]
    nibabel.loadsave.save(image, path)


def folder_of(folder: Path, counts: tuple[int, ...], ending: str = ".png", edges: tuple[int, ...] = (10, 13)) -> Path:
    """So many cases in each part: of classes 0 and 1, where class 1 is brighter."""
    rng = np.random.default_rng(0)
    for part, count in zip(PARTS, counts, strict=True):
        for kind in ("images", "labels"):
            (folder / part / kind).mkdir(parents=True)
        for number in range(count):
            labels = (rng.random(edges) > 0.5).astype(np.uint8)
            image = (100 * labels + rng.integers(0, 50, edges)).astype(np.uint8)
            for kind, values in (("images", image), ("labels", labels)):
                path = folder / part / kind / f"{number}{ending}"
                if ending == ".png":
                    Image.fromarray(values).save(path)
                else:
                    save(values, path)
    return folder


@pytest.mark.parametrize(("ending", "edges"), [(".png", (10, 13)), (".nii.gz", (5, 10, 13)), (".nii", (10, 13))])
def test_files_of_ones_own(ending: str, edges: tuple[int, ...], tmp_path: Path) -> None:
    found = make_dataset("labelled-cases", folder_of(tmp_path / "own", (3, 2, 1), ending, edges))
    assert (found.info.train, found.info.validation, found.info.test) == (3, 2, 1)
    padded = [-(-edge // 8) * 8 for edge in edges]
    assert [found.info.facts[axis] for axis in ("depth", "height", "width")[-len(edges) :]] == padded
    assert (found.info.facts["channels"], found.info.facts["classes"]) == (1, 2)
    tensors = safetensors.torch.load(found.data)
    inner = tuple(slice(edge) for edge in edges)
    for x, y in zip(tensors["train_x"], tensors["train_y"], strict=True):
        inside = x[0][inner]
        assert abs(float(inside.mean())) < 1e-5
        assert float(inside.std(correction=0)) == pytest.approx(1, abs=1e-4)
        assert float(inside[y[inner] == 1].min()) > float(inside[y[inner] == 0].max())
        assert int(y.sum()) == int(y[inner].sum())
    assert make_dataset("labelled-cases", tmp_path / "own").ref == found.ref


def test_labels_are_numbered_and_hidden_files_passed_over(tmp_path: Path) -> None:
    plain = make_dataset("labelled-cases", folder_of(tmp_path / "own", (2, 1, 1)))
    for file in (tmp_path / "own").glob("*/labels/*"):
        Image.fromarray(np.asarray(Image.open(file)) * 255).save(file)
    (tmp_path / "own" / "train" / "images" / "._0.png").write_bytes(b"of macOS")
    said: list[str] = []
    found = make_dataset("labelled-cases", tmp_path / "own", report=said.append)
    assert found.ref.digest == plain.ref.digest
    assert "labels 0, 255 -> 0, 1" in said


def test_colours_are_channels(tmp_path: Path) -> None:
    for file in (folder_of(tmp_path, (1, 1, 1))).glob("*/images/*"):
        Image.open(file).convert("RGB").save(file)
    assert make_dataset("labelled-cases", tmp_path).info.facts["channels"] == 3


@pytest.mark.parametrize(
    ("preset", "ending", "edges", "shape"),
    [
        ("segment-images", ".png", (30, 61), [32, 64]),
        ("segment-volumes", ".nii", (7, 10, 13), [8, 16, 16]),
        ("segment-slices", ".nii", (7, 10, 30), [16, 32]),
        ("segment-volumes", ".png", (30, 61), [32, 64]),
    ],
)
def test_what_data_of_ones_own_are_need_not_be_said(
    preset: str, ending: str, edges: tuple[int, ...], shape: list[int], cli: Cli, tmp_path: Path
) -> None:
    found = make_dataset("labelled-cases", folder_of(tmp_path / "cases", (2, 1, 1), ending, edges))
    check_followed(cli, tmp_path, preset, found, {"shape": shape, "channels": 1, "classes": 2})


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="say which with --source FOLDER"):
        make_dataset("labelled-cases")
    with pytest.raises(DatasetError, match="test/images has no NIfTI or PNG files"):
        make_dataset("labelled-cases", folder_of(tmp_path / "few", (2, 1, 0)))
    folder = folder_of(tmp_path / "wrong", (3, 1, 1))
    (images, labels) = (folder / "train" / kind for kind in ("images", "labels"))
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(labels / "2.png")
    with pytest.raises(DatasetError, match=r"2.png has the shape \(10, 13\), but its labels \(3, 3\)"):
        make_dataset("labelled-cases", folder)
    (images / "2.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"2.png cannot be read"):
        make_dataset("labelled-cases", folder)
    (labels / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"labels/1.png cannot be read"):
        make_dataset("labelled-cases", folder)


def test_slabs_of_the_head_are_disjoint_and_have_gaps(tmp_path: Path) -> None:
    """The label of a voxel says its slice: every second one of 100, of which two in ten are in no part."""
    values = np.zeros((32, 100, 40), np.uint8)
    values[:] = np.arange(100)[:, None]
    save(values, tmp_path / "ch2.nii.gz")
    values[:] = np.where(np.arange(100) // 2 % 3 == 0, 91, np.where(np.arange(100) // 2 % 3 == 1, 37, 1))[:, None]
    save(values, tmp_path / "aal.nii.gz")
    head = read_head(tmp_path, lambda line: None)
    slabs = {part: head.tensors[f"{part}_y"] for part in PARTS}
    assert {part: slabs[part].shape for part in PARTS} == {
        "train": (3, 8, 16, 24),
        "validation": (1, 8, 16, 24),
        "test": (1, 8, 16, 24),
    }
    # A slab after each ten slices, and the parts take turns: train, validation, train, test, train.
    found = [slabs["train"][0], slabs["validation"][0], slabs["train"][1], slabs["test"][0], slabs["train"][2]]
    for number, slab in enumerate(found):
        slices = np.arange(10 * number, 10 * number + 8)
        assert slab[:, 0, 0].tolist() == [{0: 3, 1: 2, 2: 1}[each] for each in (slices % 3).tolist()]
    assert head.info["facts"]["classes"] == 4
    with pytest.raises(DatasetError, match="apt install mricron-data, or --source FOLDER"):
        read_head(tmp_path / "nowhere", lambda line: None)
