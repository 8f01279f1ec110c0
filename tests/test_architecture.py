"""The walls that no import contract can state: what importing costs, and how large a file may grow."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KUBERNETES = "metaqnn_orch.launchers.kubernetes."
EDGES = (  # imported when they are needed
    "metaqnn_orch.reporting.mlflow_tracker",
    "metaqnn_orch.reporting.tensorboard_tracker",
    *(
        KUBERNETES + name
        for name in (
            "answers",
            "calls",
            "carriers",
            "cluster",
            "credentials",
            "launcher",
            "orders",
            "queueing",
            "reflector",
            "runner",
        )
    ),
)
HEAVY = {"torch", "torchvision", "safetensors", "sklearn", "scipy", "boto3", "botocore", "kubernetes"}

SOURCES = sorted(
    path.relative_to(ROOT) for folder in ("orchestrator", "trainer_image") for path in (ROOT / folder).rglob("*.py")
)


def modules(package: Path) -> list[str]:
    """Every module below a package's folder, by its name."""
    names = (".".join(path.relative_to(package.parent).with_suffix("").parts) for path in package.rglob("*.py"))
    return sorted({name.removesuffix(".__init__") for name in names if not name.endswith("__main__")})


def contract() -> list[str]:
    trainer = ROOT / "trainer_image" / "metaqnn_trainer"
    return [name for name in modules(trainer) if name.startswith("metaqnn_trainer.contract")]


def spaces() -> list[str]:
    trainer = ROOT / "trainer_image" / "metaqnn_trainer"
    return [name for name in modules(trainer) if name.startswith("metaqnn_trainer.spaces")]


def orchestrator() -> list[str]:
    return [name for name in modules(ROOT / "orchestrator" / "metaqnn_orch") if not name.startswith(EDGES)]


def packages_taken(names: list[str], directory: Path) -> set[str]:
    """The top-level packages that importing these modules takes, in a fresh process that has no environment."""
    program = (
        "import importlib, json, sys;"
        "[importlib.import_module(name) for name in json.load(sys.stdin)];"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        cwd=directory,
        env={},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    (line,) = process.stdout.splitlines()  # and nothing else was printed
    return set(json.loads(line))


def test_importing_the_orchestrator_takes_nothing_heavy_and_does_nothing(tmp_path: Path) -> None:
    names = orchestrator()
    assert "metaqnn_orch.search.agent" in names
    taken = packages_taken(names, tmp_path)
    assert "metaqnn_orch" in taken
    assert taken & HEAVY == set()
    assert list(tmp_path.iterdir()) == []


def test_the_contract_costs_pydantic_and_nothing_else(tmp_path: Path) -> None:
    names = contract()
    assert "metaqnn_trainer.contract.messages" in names
    taken = packages_taken(names, tmp_path)
    assert "pydantic" in taken
    assert taken & (HEAVY | {"numpy", "yaml", "typer", "rich", "PIL", "metaqnn_orch"}) == set()


def test_the_spaces_cost_what_the_contract_does(tmp_path: Path) -> None:
    names = spaces()
    assert "metaqnn_trainer.spaces.cnn.layers.conv" in names
    assert packages_taken(names, tmp_path) <= packages_taken(contract(), tmp_path) | set(sys.stdlib_module_names)


def test_a_store_in_a_directory_costs_the_contracts_errors_and_nothing_else(tmp_path: Path) -> None:
    taken = packages_taken(["metaqnn_trainer.store.opening"], tmp_path)
    assert "metaqnn_trainer" in taken
    assert taken & (HEAVY | {"numpy", "pydantic", "yaml", "metaqnn_orch"}) == set()


def test_the_search_needs_the_standard_library_and_the_contract_alone(tmp_path: Path) -> None:
    names = [name for name in orchestrator() if name.startswith("metaqnn_orch.search")]
    taken = packages_taken(names, tmp_path) - packages_taken(contract(), tmp_path)
    assert taken - set(sys.stdlib_module_names) == {"metaqnn_orch"}


def calls(room: str) -> Iterator[tuple[str, str]]:
    """Every call in a room: in which file, and of what."""
    for path in sorted((ROOT / "orchestrator" / "metaqnn_orch" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func)


def test_what_is_read_of_a_run_changes_nothing_in_its_store() -> None:
    writing = re.compile(r".*(store|opened)\.(put|put_if_absent|delete)")
    assert [call for call in calls("reporting") if writing.fullmatch(call[1])] == []
    assert any(writing.fullmatch(called) for _, called in calls("application")), "where it is the task, it is found"


@pytest.mark.parametrize("room", ["application", "control", "launchers", "replay", "reporting", "search", "settings"])
def test_the_command_line_alone_prints(room: str) -> None:
    printing = re.compile(r"print|sys\.(stdout|stderr)\.(write|flush)")
    assert [call for call in calls(room) if printing.fullmatch(call[1])] == []


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_stay_small(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 350


# What the trainer's command line prints, and what the orchestrator reads of it: one thing, seen from both sides.
SEEN_FROM_BOTH_SIDES = {"Exported", "Judged"}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_what_a_module_keeps_to_itself_it_uses(path: Path) -> None:
    """Functions, classes and constants whose names begin with an underscore; a decorator may use what it decorates."""
    tree = ast.parse((ROOT / path).read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert [name for name in own_names(tree) if name not in used] == []


def own_names(tree: ast.Module) -> Iterator[str]:
    """The names at the top of a module that begin with one underscore."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name, decorator_list=[]) | ast.ClassDef(name=name, decorator_list=[]):
                found = [name]
            case ast.Assign(targets=targets):
                found = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                found = [name]
            case _:
                found = []
        yield from (name for name in found if name.startswith("_") and not name.startswith("__"))


def test_a_name_stands_for_one_class() -> None:
    where: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.parse((ROOT / path).read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(path))
    twice = {name: paths for name, paths in where.items() if len(paths) > 1 and name not in SEEN_FROM_BOTH_SIDES}
    assert twice == {}
