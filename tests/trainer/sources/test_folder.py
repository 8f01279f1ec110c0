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


def read(directory: Path, image_size: int | None = 8, grayscale: bool = False) -> Source:
    return read_folder(directory, image_size, grayscale, lambda line: None)


def told(directory: Path, skip_bad: bool = False) -> tuple[Source, str]:
    """The source, and all that is said while it is read."""
    lines: list[str] = []
    return read_folder(directory, None, False, lines.append, skip_bad), "\n".join(lines)


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
    for name in ("cat", "dog"):
        paint(tmp_path / "wrapped" / "pets" / name / "1.png")
    with pytest.raises(DatasetError, match=r"only the class 'pets'.*perhaps you mean .*wrapped/pets"):
        read(tmp_path / "wrapped")


def test_a_name_that_no_class_can_have(tmp_path: Path) -> None:
    fill(tmp_path, ("cat", "dog\x1b[2J"), 3)
    with pytest.raises(DatasetError, match=r"'dog\\x1b\[2J'"):
        read(tmp_path)


def test_all_bad_files_are_named_at_once_and_can_be_left_out(tmp_path: Path) -> None:
    fill(tmp_path, count=20)
    bad = {"cat/empty.jpg": b"", "cat/page.jpg": b"<html>", "dog/half.png": b"\x89PNG\r\n\x1a\n broken"}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "dog" / "gone.jpg").symlink_to("nowhere.jpg")
    Image.new("I;16", (8, 8), 40_000).save(tmp_path / "dog" / "deep.png")
    lines: list[str] = []
    with pytest.raises(DatasetError, match=r"5 of 45 files in .* are named above; --skip-bad leaves them out"):
        read_folder(tmp_path, None, False, lines.append)
    for name in [*bad, "dog/gone.jpg", "dog/deep.png"]:
        assert sum(str(tmp_path / name) in line for line in lines) == 1
    source, words = told(tmp_path, skip_bad=True)
    assert len(source.train.labels) + len(source.test.labels) == 40
    assert f"5 of 45 files in {tmp_path} left out, because they cannot be used" in words


def test_where_no_file_can_be_used_leaving_out_does_not_help(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="none of the 2 files"):
        told(tmp_path, skip_bad=True)


def test_what_is_no_image_is_passed_over_and_counted(tmp_path: Path) -> None:
    fill(tmp_path / "train", count=3)
    for name in ("cat/._000.png", "cat/.DS_Store", "__MACOSX/cat/._000.png", ".ipynb_checkpoints/000.png"):
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / name).write_bytes(b"none")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("none")
    paint(tmp_path / "train" / "lost.png")
    (tmp_path / "extra").mkdir()
    source, words = told(tmp_path)
    assert source.class_names == ["cat", "dog"]
    assert len(source.train.labels) == 6
    assert "files of macOS (3)" in words
    assert "checkpoints of notebooks (1)" in words
    assert "files of other kinds (1)" in words
    assert "images outside of the classes (1)" in words
    assert "extra left out, neither train, val nor test" in words


def test_folders_in_a_class_belong_to_it_and_links_in_a_circle_end(tmp_path: Path) -> None:
    fill(tmp_path, count=20)
    for index in range(3):
        paint(tmp_path / "cat" / "more" / f"folder.jpg/{index}.png")
    (tmp_path / "cat" / "more" / "again").symlink_to(tmp_path / "cat")
    source = read(tmp_path)
    assert len(source.train.labels) + len(source.test.labels) == 43


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Validation", "Testing")])
def test_parts_are_found_by_their_usual_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for name, count in zip(names, (10, 4, 3), strict=True):
        fill(tmp_path / name, count=count)
    source, words = told(tmp_path)
    assert source.validation is not None
    assert [len(part.labels) for part in (source.train, source.validation, source.test)] == [20, 8, 6]
    assert f"{tmp_path / names[1]} is the part for validation" in words


def test_parts_that_nobody_can_tell_apart(tmp_path: Path) -> None:
    fill(tmp_path / "val", count=3)
    fill(tmp_path / "test", count=3)
    with pytest.raises(DatasetError, match="has test and val, but no train: put the folders"):
        read(tmp_path)
    fill(tmp_path / "train", count=3)
    fill(tmp_path / "Training", count=3)
    with pytest.raises(DatasetError, match="has both Training and train"):
        read(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, ("car", "plane", "train"))
    assert read(tmp_path).class_names == ["car", "plane", "train"]


def test_test_images_without_classes_are_left_out_aloud(tmp_path: Path) -> None:
    fill(tmp_path / "train", count=3)
    for index in range(4):
        paint(tmp_path / "test" / f"{index}.png")
    source, words = told(tmp_path)
    assert len(source.test.labels) == 0
    assert f"{tmp_path / 'test'}: 4 images left out, in no folder of a class" in words
    assert "accuracy on images that the search never saw cannot be measured" in words


def test_classes_that_training_does_not_know(tmp_path: Path) -> None:
    fill(tmp_path / "train", count=3)
    fill(tmp_path / "test", ("bird", "cat", "owl"), 2)
    with pytest.raises(DatasetError, match=r"training does not have: bird \(2\), owl \(2\); --skip-bad"):
        read(tmp_path)
    source, words = told(tmp_path, skip_bad=True)
    assert source.test.labels.tolist() == [0, 0]
    assert "does not have these classes: bird (2), owl (2)" in words
    assert "has no images of dog" in words


def test_the_size_is_said_and_images_of_one_small_size_keep_it(tmp_path: Path) -> None:
    fill(tmp_path, count=5)
    source, words = told(tmp_path)
    assert source.train.images.shape[1:] == (3, 32, 32)
    assert "the images become 32x32, RGB: they are 10x6; --image-size N chooses another size" in words
    for path in tmp_path.rglob("*.png"):
        Image.new("L", (28, 28), 7).save(path)
    source, words = told(tmp_path)
    assert source.train.images.shape[1:] == (1, 28, 28)
    assert "the images become 28x28, gray: they are 28x28, and all gray" in words
    paint(tmp_path / "cat" / "large.png", size=(90, 90))
    source, words = told(tmp_path)
    assert source.train.images.shape[1:] == (3, 32, 32)
    assert "they are from 28x28 to 90x90" in words


@pytest.mark.parametrize("orientation", [b"6\0\0\0", b"\xff" * 4])
def test_damaged_exif_data_leave_the_pixels_alone(tmp_path: Path, orientation: bytes) -> None:
    fill(tmp_path, count=20)
    entry = b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\x1a\x01\x05\0\x01\0\0\0" + orientation
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entry + b"\0\0\0\0" + b"\xff\xff\xff\xff\0\0\0\0"
    Image.new("RGB", (10, 6), (1, 2, 3)).save(tmp_path / "cat" / "turned.jpg", exif=exif)
    source = read(tmp_path)
    assert len(source.train.labels) + len(source.test.labels) == 41
