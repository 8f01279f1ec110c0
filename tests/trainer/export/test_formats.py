"""Each format computes what the trainer's network computes, for every kind of layer there is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metaqnn_trainer.contract.messages import DatasetRef, ModelOptions
from metaqnn_trainer.export.formats import FORMATS
from metaqnn_trainer.export.network import Network
from metaqnn_trainer.images.dataset import Dataset, normalised, pixel_statistics, prepare
from metaqnn_trainer.load import Trained
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.spaces.cnn.notation import parse_net
from tests.trainer.conftest import spec_of

pytestmark = pytest.mark.filterwarnings("default")  # of torch's exporters

PLAIN = "[C(8,3,1), P(2,2), C(8,5,1), P(3,2), FC(16), FC(8), SM(10)]"
EVERYTHING = "[C(8,2,1), C(8,3,2), C(4,1,1), GAP(10), SM(10)]"  # uneven padding, strides, pooling over maps
NETS = {
    "plain": (PLAIN, ModelOptions()),
    "everything": (EVERYTHING, ModelOptions(batch_norm=True, activation="elu")),
    "the code's head": (EVERYTHING, ModelOptions(gap_head="code")),
    "maps of one pixel": ("[C(8,3,1), FC(16), GAP(10), SM(10)]", ModelOptions()),
    "no hidden layer": ("[SM(10)]", ModelOptions()),
    "beyond the paper": ("[RES(8,3,2), BN(), DSC(6,2,1), AP(2,1), RES(6,3,1), FC(9), SM(10)]", ModelOptions()),
    "blocks with everything": (
        "[RES(8,2,3), DSC(6,3,2), RES(6,1,1), GAP(10), SM(10)]",
        ModelOptions(batch_norm=True, activation="elu"),
    ),
}
# Writing ONNX takes seconds, so three nets hold all that it has to know. The Python file is our own work: all of them.
CASES = [(form, name) for form in ("torch", "onnx") for name in ("plain", "everything", "beyond the paper")]
CASES += [("safetensors", name) for name in NETS]


def trained(net: str, options: ModelOptions, dataset: Dataset, size: int = 8) -> Trained:
    """As if trained: random weights, and a batch normalisation that has seen images."""
    ref = DatasetRef(name="digits", digest=hashlib.sha256(b"").hexdigest()[:16])
    model = build_model(parse_net(net), dataset.shape, options, {}, torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.train()(torch.randn(64, *dataset.train.images.shape[1:]))
    return Trained(spec_of(ref, net, model=options, image_size=size), model.eval(), dataset)


def facts(net: str) -> dict[str, str]:
    return {"net": net, "classes": json.dumps([*"012345678", 'n\u00efne"""\\']), "trial": "0" * 12}


@pytest.mark.parametrize(("form", "name"), CASES)
def test_outputs_are_equal_on_the_test_images(form: str, name: str, digits_dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime") if form == "onnx" else None
    net, options = NETS[name]
    mine = trained(net, options, digits_dataset)
    images = digits_dataset.test.images
    to = tmp_path / f"a-net{FORMATS[form].suffix}"
    FORMATS[form].write(Network(mine).eval(), to, facts(net))
    run = FORMATS[form].open(to)
    for some in (images, images[:1]):
        torch.testing.assert_close(run(some).detach(), mine.logits(some), rtol=1e-4, atol=1e-5)


def test_pixels_can_be_normalised_one_by_one(digits_dataset: Dataset, tmp_path: Path) -> None:
    dataset = prepare(digits_dataset, 8, torch.device("cpu"), "pixel")
    torch.testing.assert_close(dataset.mean, pixel_statistics(dataset.train.images)[0])
    mine = trained(PLAIN, ModelOptions(), dataset)
    to = tmp_path / "net.safetensors"
    FORMATS["safetensors"].write(Network(mine).eval(), to, facts(PLAIN))
    found = FORMATS["safetensors"].open(to)(dataset.test.images)
    torch.testing.assert_close(found.detach(), mine.logits(dataset.test.images), rtol=1e-4, atol=1e-5)


def test_the_python_file_needs_torch_alone(digits_dataset: Dataset, tmp_path: Path) -> None:
    net, options = NETS["everything"]
    mine = trained(net, options, digits_dataset)
    files = FORMATS["safetensors"].write(Network(mine).eval(), tmp_path / "1 net.safetensors", facts(net))
    assert [file.name for file in files] == ["1 net.safetensors", "net_1_net.py"]
    program = (
        "import sys, torch; before = set(sys.modules)\n"
        "from net_1_net import CLASSES, load\n"
        "print(load()(torch.zeros(3, 1, 8, 8, dtype=torch.uint8)).shape, ascii(CLASSES[-1]))\n"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} & {'safetensors', 'metaqnn_trainer'})"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["torch.Size([3, 10]) " + ascii('n\u00efne"""\\'), "set()"]


def test_two_exports_are_the_same_bytes(digits_dataset: Dataset, tmp_path: Path) -> None:
    mine = trained(PLAIN, ModelOptions(), digits_dataset)
    written = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        to = tmp_path / folder / "net.safetensors"
        FORMATS["safetensors"].write(Network(mine).eval(), to, facts(PLAIN))
        written.append((to.read_bytes(), to.with_suffix(".py").read_bytes()))
    assert written[0] == written[1]


@pytest.mark.parametrize("form", FORMATS)
def test_images_of_any_size_are_resized_as_for_training(form: str, digits_dataset: Dataset, tmp_path: Path) -> None:
    """Also where the search resized the dataset's images again."""
    pytest.importorskip("onnxruntime") if form == "onnx" else None
    dataset = prepare(digits_dataset, 7, torch.device("cpu"))
    mine = trained(PLAIN, ModelOptions(), dataset, 7)
    to = tmp_path / f"net{FORMATS[form].suffix}"
    FORMATS[form].write(Network(mine).eval(), to, facts(PLAIN))
    run = FORMATS[form].open(to)
    expected = mine.model(normalised(dataset.test.images, dataset.mean, dataset.std))
    for given in (
        digits_dataset.test.images,
        dataset.test.images,
    ):  # as they are in the dataset, and as training has it
        torch.testing.assert_close(run(given).detach(), expected.detach(), rtol=1e-3, atol=1e-3)
    for shape in ((480, 640), (7, 30), (1, 1), (9, 8)):
        images = torch.randint(0, 256, (2, 1, *shape), dtype=torch.uint8)
        torch.testing.assert_close(run(images).detach(), mine.logits(images), rtol=1e-4, atol=1e-4)
