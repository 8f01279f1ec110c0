"""Dataset objects: laid out as the contract says, the same bytes each time, and refused where they would be no use."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from metaqnn_trainer.contract.dataset import HEADER_BYTES, object_digest, read_info
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.images.dataset import parse_dataset
from metaqnn_trainer.reading import parse_object
from metaqnn_trainer.sources.base import Examples, LabelledImages, Source
from metaqnn_trainer.sources.make import MadeDataset, channel_statistics, encode, encode_examples, make_dataset
from tests import forked
from tests.trainer.sources.idx_files import write_set


def source(counts: tuple[int, ...] = (30, 30), test: int = 4, size: int = 4) -> Source:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 2, size, size)).astype(np.uint8)
    names = [f"class {number}" for number in range(len(counts))]
    return Source(LabelledImages(images, labels), LabelledImages(images[:test], labels[:test]), names, "the test")


def test_the_object_is_what_the_contract_says(digits: MadeDataset) -> None:
    assert object_digest(digits.data) == digits.ref.digest
    assert digits.ref.digest == "39c2ed8033c3eca8"  # of every release so far: a search goes on with what it began with
    assert read_info(digits.data[:HEADER_BYTES], "digits") == digits.info
    assert (digits.info.train, digits.info.validation, digits.info.test) == (1151, 287, 359)
    dataset = parse_dataset(digits.data, "digits")
    assert len(dataset.train) == 1151
    values = dataset.train.images.double() / 255
    assert dataset.mean.item() == pytest.approx(values.mean().item(), abs=1e-7)
    assert dataset.std.item() == pytest.approx(values.std(correction=0).item(), abs=1e-7)


def test_the_same_source_gives_the_same_bytes(tmp_path: Path, digits: MadeDataset) -> None:
    assert make_dataset("digits").data == digits.data
    write_set(tmp_path / "flat", train=200)
    write_set(tmp_path / "torchvision" / "MNIST" / "raw", zipped=True, train=200)
    flat, nested = (make_dataset("mnist", tmp_path / name).data for name in ("flat", "torchvision"))
    assert flat == nested


def test_a_folder_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    for root in ("here", "there"):
        for index in range(12):
            path = tmp_path / root / ("cat", "dog")[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 7), (index, 0, 0)).save(path)
    here, there = (make_dataset("pets", tmp_path / root) for root in ("here", "there"))
    assert here.data == there.data
    assert (here.info.image_size, here.info.channels) == (32, 3)
    small = make_dataset("pets", tmp_path / "here", image_size=5, grayscale=True, validation=2)
    assert (small.info.image_size, small.info.channels, small.info.validation) == (5, 1, 2)


def test_validation_is_a_fifth_at_most_and_the_papers_5000_for_large_sets() -> None:
    assert encode("x", source()).info.validation == 12
    assert encode("x", source((15_000, 15_000), size=1)).info.validation == 5_000
    assert encode("x", source(), 30).info.validation == 30


def test_the_split_keeps_the_proportions_of_the_classes() -> None:
    made = encode("x", source((60, 30, 10)))
    labels = parse_dataset(made.data, "x").validation.labels
    assert labels.bincount().tolist() == [12, 6, 2]


@pytest.mark.parametrize("validation", [60, 61, 10**9])
def test_validation_must_leave_something(validation: int) -> None:
    with pytest.raises(DatasetError, match=f"{validation} images are too many for validation"):
        encode("x", source(), validation)
    with pytest.raises(DatasetError, match="one class has no images left"):
        encode("x", source((100, 3)), 101)


def test_small_classes_are_named() -> None:
    with pytest.raises(DatasetError, match="the class 'class 1' has 2 images to train on, at least 3"):
        encode("x", source((30, 2)))
    with pytest.raises(DatasetError, match="the class 'class 2' has 0 images"):
        encode("x", source((30, 30, 0)))
    with pytest.raises(DatasetError, match=r"the class 'class 1' has 2 images .* and 2 other classes have too few"):
        encode("x", source((30, 2, 1, 0)))


def test_a_part_for_validation_is_used_as_it_is() -> None:
    given = source((10, 1))
    apart = LabelledImages(given.train.images[:3], np.array([1, 0, 1]))
    made = encode("x", given._replace(validation=apart))
    dataset = parse_dataset(made.data, "x")
    assert (made.info.train, made.info.validation) == (11, 3)
    assert dataset.validation.labels.tolist() == [1, 0, 1]
    assert (dataset.validation.images.numpy() == apart.images).all()
    assert dataset.mean[0].item() == pytest.approx((dataset.train.images[:, 0].double() / 255).mean().item())
    with pytest.raises(DatasetError, match="has a part for validation"):
        encode("x", given._replace(validation=apart), 2)


def test_sources_that_contradict_themselves() -> None:
    good = source()
    foreign = good._replace(test=LabelledImages(good.test.images, good.test.labels + 7))
    with pytest.raises(DatasetError, match="labels go from 7 to 7, not from 0 to 1"):
        encode("x", foreign)
    oblong = good._replace(train=LabelledImages(good.train.images[:, :, :3], good.train.labels))
    with pytest.raises(DatasetError, match="not square"):
        encode("x", oblong)
    wordy = good._replace(class_names=["a" * 600_000, "b"])
    with pytest.raises(DatasetError, match="too long"):
        encode("x", wordy)


def test_what_a_known_set_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not for mnist"):
        make_dataset("mnist", tmp_path, image_size=32)
    with pytest.raises(DatasetError, match="not for cifar10"):
        make_dataset("cifar10", tmp_path, grayscale=True)
    with pytest.raises(DatasetError, match="digits comes with scikit-learn"):
        make_dataset("digits", tmp_path)


def test_other_names_need_a_folder_and_must_be_names() -> None:
    with pytest.raises(DatasetError, match=r"pets is not one of cifar10, cifar100, digits.*--source DIR"):
        make_dataset("pets")
    with pytest.raises(MessageError, match="is not a valid name"):
        make_dataset("../pets")


def test_statistics_are_exact_and_never_zero() -> None:
    images = np.zeros((2, 3, 1, 1), np.uint8)
    images[:, 1] = 255
    images[1, 2] = 255
    mean, std = channel_statistics(images)
    assert mean.tolist() == [0, 1, 0.5]
    assert std.tolist() == [1, 1, 0.5]


def test_nothing_but_the_contracts_tensors_is_stored(digits: MadeDataset) -> None:
    assert set(safetensors.numpy.load(digits.data)) == {
        "train_images",
        "train_labels",
        "train_indices",
        "val_indices",
        "test_images",
        "test_labels",
        "mean",
        "std",
    }


def test_anything_else_is_stored_as_it_is() -> None:
    tensors: dict[str, Any] = {"train_x": np.zeros((3, 2), np.float32), "validation_x": np.ones((1, 2), np.float64)}
    info = {"train": 3, "validation": 1, "test": 0, "source": "made up", "facts": {"columns": 2}}
    made = encode_examples("table", Examples(tensors, info))
    found = parse_object(made.data, "table")
    assert found.info == made.info
    assert found.info.facts == {"columns": 2}
    assert found.tensors["validation_x"].tolist() == [[1.0, 1.0]]
    assert object_digest(made.data) == made.ref.digest
    with pytest.raises(DatasetError, match="gives impossible data: "):
        encode_examples("table", Examples(tensors, {**info, "train": 0}))
    with pytest.raises(DatasetError, match="gives impossible data: "):
        encode_examples("table", Examples(tensors, {**info, "name": "another"}))


INSTALLED = "[metaqnn.datasets]\nprices = prices:PLUGIN\n"
PRICES = """
import numpy as np
from metaqnn_trainer.sources.base import Examples

def PLUGIN(path, report):
    report(f"from {path}")
    tensors = {"train_x": np.zeros(2), "validation_x": np.zeros(1)}
    return Examples(tensors, {"train": 2, "validation": 1, "test": 0, "source": "prices"})
"""


def test_an_installed_source_is_known_by_its_name(tmp_path: Path) -> None:
    metadata = tmp_path / "installed" / "prices-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: prices\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(INSTALLED)
    (tmp_path / "installed" / "prices.py").write_text(PRICES)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [*forked.TRAINER, "dataset"]
    made = subprocess.run(
        [*command, "prices", "--store", str(tmp_path / "store"), "--source", "/some/file"],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    assert "from /some/file" in made.stderr
    assert json.loads(made.stdout)["info"]["train"] == 2
    helped = subprocess.run([*command, "--help"], env=environment, capture_output=True, check=True, text=True)
    names = " ".join(helped.stdout.split())
    assert "digits, fashion-mnist, mnist, svhn" in names
    assert ", prices" in names
