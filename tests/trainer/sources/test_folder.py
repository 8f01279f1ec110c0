"""Folders of images: real files, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Source
from metaqnn_trainer.sources.folder import read_folder


def paint(path: Path, colour: tuple[int, ...] = (200, 100, 50), size: tuple[int, int] = (10, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def fill(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 20) -> None:
    for number, name in enumerate(classes):
        for index in range(count):
            paint(root / name / f"{index:03}.png", (index, number, 0))


def read(directory: Path, image_size: int = 8, grayscale: bool = False) -> Source:
    return read_folder(directory, image_size, grayscale, lambda line: None)


def test_a_flat_folder_gives_a_stratified_test_part(tmp_path: Path) -> None:
    fill(tmp_path)
    source = read(tmp_path)
    assert source.class_names == ["cat", "dog"]
    assert source.train.images.shape == (34, 3, 8, 8)
    assert np.bincount(source.test.labels).tolist() == [3, 3]
    assert (source.train.images[:, 1, 0, 0] == source.train.labels).all()
    assert str(tmp_path) not in source.text


def test_train_and_test_folders_stay_what_they_are(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test", ("dog",), 4)
    source = read(tmp_path)
    assert len(source.train.labels) == 40
    assert source.test.labels.tolist() == [1, 1, 1, 1]


def test_a_train_folder_alone_leaves_the_test_part_empty(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    source = read(tmp_path)
    assert len(source.train.labels) == 40
    assert source.test.images.shape == (0, 3, 8, 8)


def test_grayscale_palettes_transparency_and_turned_photographs(tmp_path: Path) -> None:
    fill(tmp_path, count=1)
    Image.new("P", (9, 9), 3).save(tmp_path / "cat" / "palette.gif")
    Image.new("RGBA", (9, 9), (1, 2, 3, 0)).save(tmp_path / "cat" / "glass.png")
    turned = Image.new("L", (8, 8), 0)
    turned.paste(255, (0, 0, 8, 4))  # bright above; the tag says that the camera lay on its side
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "dog" / "zz.png", exif=exif)
    source = read(tmp_path, grayscale=True)
    assert source.train.images.shape[1:] == (1, 8, 8)
    upright = np.concatenate([source.train.images, source.test.images])[:, 0]
    assert any((image[:, 4:] == 255).all() and not image[:, :4].any() for image in upright)


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, count=3)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / ".DS_Store").write_text("")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.md").write_text("")
    source = read(tmp_path)
    assert len(source.train.labels) + len(source.test.labels) == 6
    assert source.class_names == ["cat", "dog"]


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken", b"GIF89a"])
def test_an_unreadable_image_is_named(tmp_path: Path, data: bytes) -> None:
    fill(tmp_path, count=3)
    (tmp_path / "dog" / "bad.png").write_bytes(data)
    with pytest.raises(DatasetError, match=r"dog/bad\.png cannot be read as an image"):
        read(tmp_path)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path, count=3)
    path = tmp_path / "dog" / "half.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(DatasetError, match=r"half\.jpg cannot be read as an image"):
        read(tmp_path)


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    fill(tmp_path, count=3)
    Image.new("I;16", (8, 8), 40_000).save(tmp_path / "dog" / "deep.png")
    with pytest.raises(DatasetError, match=r"deep\.png has more than 8 bits in a channel"):
        read(tmp_path)


def test_folders_that_are_no_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a directory"):
        read(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="contains no folders"):
        read(tmp_path)
    paint(tmp_path / "cat" / "1.png")
    with pytest.raises(DatasetError, match="contains only the class 'cat'"):
        read(tmp_path)
    (tmp_path / "cat" / "1.png").unlink()
    (tmp_path / "dog").mkdir()
    with pytest.raises(DatasetError, match="contains no images"):
        read(tmp_path)


def test_a_test_class_that_training_does_not_know(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test", ("bird", "cat"), 1)
    with pytest.raises(DatasetError, match="holds the class 'bird', which"):
        read(tmp_path)


def test_a_name_that_no_class_can_have(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog\x1b[2J"), 3)
    with pytest.raises(DatasetError, match=r"'dog\\x1b\[2J'"):
        read(tmp_path)
