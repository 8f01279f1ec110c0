"""Nets of wires, their evolution and their task keep the laws of every space, searcher and task, and their own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pytest
import torch
from tests.cli.conftest import Cli, cli
from tests.plugins.own_data import check_followed
from tests.spaces.behaviour import SpaceBehaviour
from tests.tasks.behaviour import Behaviour

from metaqnn_orch import Search
from metaqnn_orch.application.doctor.dataset import examine_dataset
from metaqnn_orch.application.doctor.diagnosis import Mark
from metaqnn_orch.search.searcher import Experience, Known, Setup
from metaqnn_orch.settings.sources import load_settings
from metaqnn_regression.searcher import Rewiring
from metaqnn_regression.space import Wired, WiredOptions
from metaqnn_regression.task import WiredNet
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions, PluginRef, Recipe, TrialSpec
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.make import make_dataset
from metaqnn_trainer.spaces.base import Cost, Space
from metaqnn_trainer.store.directory import DirectoryStore

__all__ = ["cli"]

SMALL: Final[dict[str, Any]] = {"inputs": 10, "rows": 3, "layers": 2, "arity": 4}


def wired(**options: Any) -> Wired:
    return Wired(WiredOptions(**{**SMALL, **options}), ModelOptions())


TABLE: Final = DatasetInfo(name="t", train=9, validation=3, test=3, source="a table", facts={"columns": 7})


class TestSpace(SpaceBehaviour):
    datasets = (TABLE,)

    @pytest.fixture(params=[{}, {"levels_back": 1}, {"arity": 1, "activations": ("tanh",)}], ids=str)
    def space(self, request: pytest.FixtureRequest) -> Space:
        return wired(**request.param)


class TestTask(Behaviour):
    hopeless: ClassVar[dict[str, Any]] = {"optimizer": "sgd", "learning_rate": 10.0, "restart_factor": 0.9}

    def put_dataset(self, store: DirectoryStore) -> DatasetRef:
        made = make_dataset("friedman1")
        store.put(keys.dataset(made.ref.name, made.ref.digest), made.data)
        return made.ref

    def spec(self, dataset: DatasetRef, **recipe: Any) -> TrialSpec:
        return TrialSpec(
            net=wired().feed_forward(),
            dataset=dataset,
            space=PluginRef(name="wired", options=SMALL),
            task=PluginRef(name="table-regression"),
            recipe=Recipe(**({"epochs": 2, "batch_size": 60, "learning_rate": 0.02} | recipe)),
        )


def test_only_what_the_output_depends_on_costs_and_is_computed() -> None:
    space = wired(inputs=2, rows=2, layers=1, arity=2)
    used = "tanh 0 _; relu 1 _; linear 2 _"
    assert space.active(used) == [0, 2]
    assert space.cost(used) == Cost(params=4, macs=2)
    assert space.measures(used)["active_weights"] == 2
    x = torch.randn(5, 2)
    first, second = (WiredNet(space, used, torch.Generator().manual_seed(0)) for _ in range(2))
    with torch.no_grad():
        second.weight[1] = 9.0
    assert torch.equal(first(x), second(x))
    assert torch.allclose(first(x), torch.tanh(x[:, 0] * first.weight[0, 0]) * first.weight[2, 0], atol=1e-6)


def test_the_feed_forward_net_is_one() -> None:
    space = wired()
    assert space.feed_forward() == "; ".join(["tanh 0-3"] * 3 + ["tanh 10-12 _"] * 3 + ["linear 13-15 _"])
    assert space.walk(space.feed_forward())


@pytest.mark.parametrize("text", ["0 tanh", "tanh x", "tanh 00", "tanh 0-; relu", "tanh 5-1; relu 0"])
def test_what_is_no_design_is_refused(text: str) -> None:
    space = wired()
    with pytest.raises(NotationError):
        space.describe(text)


def test_a_mutation_changes_what_is_computed() -> None:
    space, rng = wired(), random.Random(0)
    design = "; ".join(["tanh 0-3"] * 3 + ["tanh 10 _ _ _"] * 3 + ["linear 13 _ _ _"])
    for _ in range(50):
        assert space.describe(space.mutated(design, rng)) != space.describe(design)


def searched(rewards: dict[int, float], steps: int, **options: Any) -> tuple[Rewiring, list[Any]]:
    space = wired()
    searcher = Rewiring(
        Setup(space, Rewiring.Options(**options), lambda purpose, step: random.Random(f"{purpose} {step}"), ())
    )
    proposals: list[Any] = []
    for step in range(steps):
        known = {each.design: None for each in proposals}
        proposals.append(searcher.propose(step, Known(step, (), known)))
        searcher.tell(Experience(proposals[-1].design, rewards.get(step, 0.1)))
    return searcher, proposals


def test_children_of_the_best_begin_with_its_weights() -> None:
    _, proposals = searched({0: 0.5, 3: 0.9}, 10)
    designs = [each.design for each in proposals]
    assert designs[0] == wired().feed_forward()
    assert [each.initial for each in proposals[1:5]] == [designs[0]] * 4
    assert [each.initial for each in proposals[5:9]] == [designs[3]] * 4
    assert len(set(designs)) == len(designs)


def test_an_equal_child_is_the_next_parent_and_nothing_is_inherited_if_so_asked() -> None:
    _, proposals = searched({0: 0.5, 2: 0.5}, 7)
    assert proposals[5].initial == proposals[2].design
    _, proposals = searched({}, 7, inherit=False)
    assert [each.initial for each in proposals] == [None] * 7


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("separator", ",;\t")
def test_a_table_of_ones_own(separator: str, tmp_path: Path) -> None:
    rows = ["\ufeffa,target,b", *(f"{i},{i * i % 7},{3 * i + 1}" for i in range(50))]
    made = make_dataset("table", table(tmp_path / "own.csv", *(row.replace(",", separator) for row in rows)))
    assert (made.info.train, made.info.validation, made.info.test) == (30, 10, 10)
    assert made.info.facts["columns"] == 2
    assert made.info.facts["target"] == "target"
    assert made.info.facts["deviation"] == pytest.approx(np.std([i * i % 7 for i in range(50)]), rel=0.2)
    assert make_dataset("table", tmp_path / "own.csv").ref == made.ref


def test_a_search_on_a_table_of_ones_own_is_told_nothing_but_its_name(cli: Cli, tmp_path: Path) -> None:
    rows = [",".join(str((i * factor) % 11) for factor in (1, 2, 3, 5, 7, 8, 9, 4)) for i in range(60)]
    made = make_dataset("table", table(tmp_path / "own.csv", "a,b,c,d,e,f,g,price", *rows))
    check_followed(cli, tmp_path, "friedman1", made, {"inputs": 7})
    quick = {"dataset.name": "table", "schedule.total": 2, "recipe.epochs": 1, "execution.parallel": 1}
    found = Search.start("friedman1", run="own", store=tmp_path / "own", settings=quick, progress=False)
    assert len(found.trials) == 2
    assert found.settings.space.inputs == 7


ROWS = [f"{i},{i}" for i in range(20)]
WRONG = {
    "a,b": "2 columns and 0 rows",
    "a,b\n" + "\n".join([*ROWS, "1"]): "row 22: 1 cells, but 2 names",
    "a,b\n" + "\n".join([*ROWS, "x,1"]): "row 22, column a: 'x' is no finite number",
    "a,b\n" + "\n".join([*ROWS, "1,1e300"]): "row 22, column b: '1e300' is no finite number of float32",
    "a,a,b\n" + "\n".join(f"{row},1" for row in ROWS): "row 1: the name 'a' stands over several columns",
    "target,a,target\n" + "\n".join(f"{row},1" for row in ROWS): "the name 'target' stands over several columns",
    "a,b\n" + "\n".join([*ROWS, "nan,1"]): "column a: 'nan' is no finite number",
    "a,b\n" + "\n".join(f"{i},1" for i in range(20)): "the target is the same",
    "\n".join(ROWS): "row 1: a line of names is needed, and here are numbers",
}


@pytest.mark.parametrize("text", WRONG, ids=WRONG.values())
def test_a_table_that_cannot_be_used_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=WRONG[text]):
        make_dataset("table", table(tmp_path / "own.csv", text))


def test_tables_need_files_and_scikit_learns_do_not(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="table reads a CSV file"):
        make_dataset("table")
    with pytest.raises(DatasetError, match="cannot be read as a CSV file"):
        make_dataset("table", tmp_path / "missing.csv")
    with pytest.raises(DatasetError, match="takes no --source"):
        make_dataset("friedman2", tmp_path)


def test_a_space_for_another_table_is_refused() -> None:
    info = make_dataset("friedman2").info
    assert wired().mismatches(info) == {"space.inputs": (10, 4)}
    assert wired(inputs=4).mismatches(info) == {}


def test_doctor_speaks_of_examples_and_not_of_images(tmp_path: Path) -> None:
    store, made = DirectoryStore(tmp_path), make_dataset("friedman1")
    store.put(keys.dataset(made.ref.name, made.ref.digest), made.data)
    (said,) = examine_dataset(store, load_settings("friedman1", {}, [], {}).settings)
    assert (said.mark, said.detail) == (Mark.GOOD, "360 examples to train on, 120 for validation, 120 for the test")
