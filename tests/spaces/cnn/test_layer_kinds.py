"""Every layer kind says all that is needed of it, and what it says is true of its module: built in or installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts
from metaqnn_trainer.plugins import Plugin
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.registry import kinds, read_registry, registry
from tests.spaces.cnn.kinds import lacking


@pytest.mark.parametrize("name", kinds())
def test_nothing_is_missing_of(name: str) -> None:
    assert lacking(kinds()[name]) == []


def test_all_built_in_kinds_are_found_in_the_papers_order() -> None:
    papers, others = list(kinds())[:5], list(kinds())[5:]
    assert papers == ["C", "P", "FC", "GAP", "SM"]
    assert others == sorted(others)
    assert {"AP", "BN", "DSC", "RES"} <= set(others)
    assert registry().failures == ()


@dataclass(frozen=True, slots=True)
class Halved(Layer):
    """Takes every second pixel, and says many things of it that are not so."""

    step: int

    name = "HALF"
    words = "pooling"
    colour = "mauve"  # type: ignore[assignment]
    builder = "tests.spaces.cnn.test_layer_kinds:build_halved"

    def output(self, shape: Shape) -> Shape:
        return Shape(shape.channels, shape.size // 2)

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        return Cost(1, 2)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return -1

    @property
    def label(self) -> tuple[str, str]:
        return "half", ""

    @classmethod
    def choices(cls, rules: None, size: int, classes: int) -> Iterator[Layer]:
        yield cls(2)

    def objection(self, place: Place) -> str | None:
        return None


class EverySecond(nn.Module):
    """Has no word for an exported file."""

    def forward(self, x: Any) -> Any:
        return x[:, :, ::2, ::2]


def build_halved(layer: Halved, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [("half", EverySecond())]


@dataclass(frozen=True, slots=True)
class Unbuilt(Halved):
    """Has no builder where it says."""

    name = "LOST"
    words = "a lost layer"
    builder = "tests.spaces.cnn.nowhere:build"


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Halved, "layer kind HALF, facts: there is no colour mauve"),
        (Halved, "layer kind HALF, facts: pooling is what P is called"),
        (Halved, "layer kind HALF, text: the registry does not have it"),
        (Halved, "layer kind HALF, settings: every space offers it: HALF(2)"),
        (Halved, "layer kind HALF, shapes and costs: HALF(3) gives (3, 5, 5), and says 3x4x4"),
        (Halved, "layer kind HALF, shapes and costs: HALF(3) has 0 parameters, and says 1"),
        (Halved, "layer kind HALF, shapes and costs: HALF(3) takes 0 multiply-accumulates, and says 2"),
        (Halved, "layer kind HALF, memory: HALF(3): (-1, 243, 291)"),
        (Halved, "layer kind HALF, reports: HALF(3) has no label"),
        (Halved, "layer kind HALF, export: TypeError: EverySecond cannot be written out: it has no method `written`"),
        (
            Unbuilt,
            "layer kind LOST, builder: PluginError: builders plug-in 'LOST' cannot be loaded: ModuleNotFoundError",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_kind(kind: type[Layer], complaint: str) -> None:
    assert any(line.startswith(complaint) for line in lacking(kind)), lacking(kind)


def test_a_kind_without_a_row_on_its_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "layers.md").write_text("# Layers\n")
    missing = ["layer kind BN, docs: its row is missing in docs/layers.md: make docs"]
    assert lacking(kinds()["BN"], tmp_path) == missing


@dataclass(frozen=True)
class Little(Layer):
    name = "LITTLE"


@dataclass(frozen=True)
class Other(Conv):
    """Has the name of another."""


@dataclass(frozen=True)
class Greedy(Conv):
    """Has a section that is something else."""

    name, section = "GREEDY", "max_layers"


@dataclass(frozen=True)
class Quiet(Conv):
    """Has a name that no net can be written with."""

    name = "quiet"


@dataclass(frozen=True)
class Ruled(Conv):
    """Has rules that are no rules."""

    name, section, rules = "RULED", "ruled", {"filters": 3}  # type: ignore[assignment]


@dataclass
class Loose:
    filters: object = None


@dataclass(frozen=True)
class Loosely(Conv):
    """Has rules that may change."""

    name, section, rules = "LOOSE", "loose", Loose()  # type: ignore[assignment]


BROKEN = {
    "nowhere:Kind": "cannot be loaded: ModuleNotFoundError: No module named",
    "test_layer_kinds:Nothing": "cannot be loaded: AttributeError: ",
    "test_layer_kinds:BROKEN": "a dataclass that is a subclass of Layer is wanted",
    "test_layer_kinds:Little": (
        "the layer kind LITTLE does not say: words, colour, builder, choices, cost, kept, label, objection, output"
    ),
    "test_layer_kinds:Other": "C, space.convolution: taken by layers plug-in 'conv'",
    "test_layer_kinds:Greedy": "the layer kind GREEDY cannot have the section 'max_layers'",
    "test_layer_kinds:Ruled": "the layer kind RULED has no default for space.ruled: a dataclass is wanted",
    "test_layer_kinds:Loosely": "unhashable type: 'Loose'",
    "test_layer_kinds:Quiet": "its name in the text of a net is not made of capital letters, or is D: 'quiet'",
}


def test_kinds_that_cannot_be_used_are_left_out_and_say_why() -> None:
    conv = registry().sources["C"]
    broken = [Plugin("metaqnn.layers", name, f"tests.spaces.cnn.{name}", "odd", "1.0") for name in BROKEN]
    taken = [conv._replace(distribution="odd", trouble="the name is taken by the built-in one")]
    found = read_registry([conv, *broken], taken)
    assert list(found.kinds) == ["C"]
    assert found.failures[0] == "layers plug-in 'conv' of odd: the name is taken by the built-in one"
    for (name, reason), failure in zip(BROKEN.items(), found.failures[1:], strict=True):
        assert failure.startswith(f"layers plug-in '{name}' of odd 1.0")
        assert reason in failure
        assert failure.isprintable()


INSTALLED = '''
from dataclasses import dataclass
from torch import nn
from typing import Any, ClassVar
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer


@dataclass(frozen=True, kw_only=True)
class DilatedRules:
    dilations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Dilated(Layer):
    """A 3 x 3 convolution that looks further."""

    dilation: int

    name = "DIL"
    words = "dilated convolution"
    section = "dilated"
    rules = DilatedRules()
    convolves = True
    colour = "conv"
    builder = "far_layers:build"

    def output(self, shape):
        return shape

    def cost(self, shape, model, before=None):
        weights = 9 * shape.channels**2
        return Cost(weights + shape.channels, weights * shape.size**2)

    def kept(self, shape, model, before=None):
        return shape.features

    @property
    def label(self):
        return "dilated", str(self.dilation)

    @classmethod
    def choices(cls, rules, size, classes):
        return map(cls, rules.dilations)

    def objection(self, place):
        return None


def build(layer, shape, options, before):
    far = layer.dilation
    return [("far", nn.Conv2d(shape.channels, shape.channels, 3, padding=far, dilation=far))]
'''
PROGRAM = """
from metaqnn_orch.control.record import RunRecord, stand_in
from metaqnn_orch.settings.values import known_keys, parse_settings
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.registry import kinds
from tests.spaces.cnn.kinds import lacking
assert "DIL" in kinds(), list(kinds())
assert lacking(kinds()["DIL"]) == [], lacking(kinds()["DIL"])
assert "space.dilated.dilations" in known_keys()
space = {"image_size": 8, "channels": 1, "classes": 10}
plain = parse_settings({"dataset": {"name": "x"}, "space": space})
assert "dilated" not in plain.identity()["space"]
chosen = parse_settings({"dataset": {"name": "x"}, "space": {**space, "dilated": {"dilations": [2]}}})
assert chosen.identity()["space"]["dilated"] == {"dilations": [2]}
designs = chosen.state_space()
assert "DIL(2)" in designs.following("")
assert designs.plugins("[DIL(2), SM(10)]") == {"metaqnn.layers:dilated": "far-layers 1.0"}
nothing = stand_in(chosen, "0" * 16, "none")
settings = chosen.identity()
facts = {"run": "x", "uid": "u", "version": "0", "settings": settings, "dataset": nothing.dataset, "info": nothing.info}
record = RunRecord(created_at="2026-01-01T00:00:00Z", **facts)
assert record.spec(chosen, "[DIL(2), SM(10)]").plugins == {"metaqnn.layers:dilated": "far-layers 1.0"}
assert record.spec(chosen, "[SM(10)]").plugins == {}
assert str(designs.key(designs.after("[DIL(2)]"))) == "DIL(1,0,0,0,8,0,0)+dilation=2"
try:
    parse_net("[X(1), SM(10)]")
except ValueError as error:
    assert "layers plug-in 'lost' of far-layers 1.0 cannot be loaded" in str(error), error
"""


def test_an_installed_kind_is_one_like_any_other(tmp_path: Path) -> None:
    """It has settings, moves, keys, costs, a module and an export, and enters what a trial is; one that fails beside
    it harms nothing, and is named where an unknown layer is asked for."""
    (tmp_path / "far_layers.py").write_text(INSTALLED)
    metadata = tmp_path / "far_layers-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: far-layers\nVersion: 1.0\n")
    entries = "[metaqnn.layers]\ndilated = far_layers:Dilated\nlost = far_layers.nowhere:Lost\n"
    (metadata / "entry_points.txt").write_text(entries)
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": f"{tmp_path}:{root}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_layer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ContractError, match=r"RES.*, found 'X"):
        parse_net("[X(1), SM(10)]")
