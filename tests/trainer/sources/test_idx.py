"""IDX files: wherever they lie, and whatever is wrong with them."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Source
from metaqnn_trainer.sources.folder import choose_form
from metaqnn_trainer.sources.idx import IMAGES_MAGIC, has_idx_files, read_idx, read_idx_set, read_own_idx
from metaqnn_trainer.sources.known import fashion_mnist
from metaqnn_trainer.sources.picture import Header
from tests.trainer.sources.idx_files import TRAIN_IMAGES, TRAIN_LABELS, idx, write_set

FASHION = fashion_mnist.SET


def check(source: Source) -> None:
    assert source.train.images.shape == (100, 1, 6, 6)
    assert source.test.images.shape == (20, 1, 6, 6)
    assert source.train.images.dtype == np.uint8
    assert source.train.labels.dtype == np.int64
    assert (source.train.images[:, 0, 0, 0] == source.train.labels).all()
    assert source.class_names[9] == "ankle boot"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["", "FashionMNIST/raw", "raw"])
def test_files_are_found_flat_or_in_torchvisions_folder_zipped_or_not(tmp_path: Path, place: str, zipped: bool) -> None:
    write_set(tmp_path / place, zipped)
    check(read_idx_set(FASHION, tmp_path))


def test_the_same_pixels_zipped_or_not(tmp_path: Path) -> None:
    write_set(tmp_path / "plain")
    write_set(tmp_path / "zipped", zipped=True)
    plain, zipped = (read_idx_set(FASHION, tmp_path / name) for name in ("plain", "zipped"))
    assert (plain.train.images == zipped.train.images).all()


def test_a_missing_file_is_named_with_what_is_needed(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / TRAIN_LABELS).unlink()
    with pytest.raises(DatasetError, match=rf"neither {TRAIN_LABELS} nor .*FashionMNIST/raw.*t10k-labels-idx1-ubyte"):
        read_idx_set(FASHION, tmp_path)
    with pytest.raises(DatasetError, match="nowhere holds neither"):
        read_idx_set(FASHION, tmp_path / "nowhere")


def test_counts_must_agree(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / TRAIN_LABELS).write_bytes(idx(np.zeros(99, np.uint8)))
    with pytest.raises(DatasetError, match=f"{TRAIN_IMAGES} has 100 images, but {TRAIN_LABELS} 99 labels"):
        read_idx_set(FASHION, tmp_path)


def test_images_and_labels_must_not_be_swapped(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / TRAIN_IMAGES).write_bytes((tmp_path / TRAIN_LABELS).read_bytes())
    with pytest.raises(
        DatasetError, match=rf"{TRAIN_IMAGES} is not an IDX file of this kind.*0x00000801, not 0x00000803"
    ):
        read_idx_set(FASHION, tmp_path)


WHOLE = idx(np.arange(48, dtype=np.uint8).reshape(3, 4, 4))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (WHOLE[:-1], "is truncated: it holds 47 of the 48 bytes"),
        (WHOLE + b"x", "is too long: it holds more than 48 of the 48 bytes"),
        (b"", "is not an IDX file of this kind"),
        (WHOLE[:9], "is not an IDX file of this kind"),
        (b"\x89PNG\r\n", "begins with 0x89504e47"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "which cannot be"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "cannot be read"),
        (gzip.compress(WHOLE, mtime=0)[:30], "cannot be read"),
        (b"\x1f\x8b no gzip", "cannot be read"),
    ],
)
def test_damage_is_one_line_with_the_file(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(data)
    with pytest.raises(DatasetError) as raised:
        read_idx(path, IMAGES_MAGIC)
    assert complaint in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@given(data=st.one_of(st.binary(max_size=64), st.binary(max_size=48).map(lambda tail: WHOLE[:16] + tail)))
def test_any_bytes_are_an_array_or_a_dataset_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    for written in (data, gzip.compress(data, mtime=0)):
        path.write_bytes(written)
        with suppress(DatasetError):
            assert read_idx(path, IMAGES_MAGIC).ndim == 3


@pytest.mark.parametrize("form", ["dots", "folders", "words"])
def test_the_names_that_other_places_give_the_files(tmp_path: Path, form: str) -> None:
    write_set(tmp_path)
    for path in [*tmp_path.iterdir()]:
        if form == "folders":
            moved = path.rename(tmp_path / "moved")
            path.mkdir()
            moved.rename(path / path.name)
        else:
            dotted = path.name.replace("-idx", ".idx")
            path.rename(path.with_name(dotted if form == "dots" else f"emnist-letters-{path.name}"))
    check(read_idx_set(FASHION, tmp_path))


def test_two_sets_in_one_folder_are_not_guessed_at(tmp_path: Path) -> None:
    for words in ("emnist-letters-", "emnist-digits-"):
        write_set(tmp_path / "one")
        for path in (tmp_path / "one").iterdir():
            path.rename(tmp_path / (words + path.name))
    with pytest.raises(DatasetError, match=r"has several files for train images: emnist-digits-.*, emnist-letters-"):
        read_own_idx(tmp_path, None, lambda line: None)


def test_labels_of_ones_own_set_need_not_begin_at_zero(tmp_path: Path) -> None:
    write_set(tmp_path)
    labels = np.arange(100) % 3 * 10 + 5
    (tmp_path / TRAIN_LABELS).write_bytes(idx(labels.astype(np.uint8)))
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / name).unlink()
    assert has_idx_files(tmp_path)
    lines: list[str] = []
    source = read_own_idx(tmp_path, 9, lines.append)
    assert source.class_names == ["5", "15", "25"]
    assert source.train.labels[:4].tolist() == [0, 1, 2, 0]
    assert source.train.images.shape == (100, 1, 9, 9)
    assert len(source.test.labels) == 0
    assert "the images become 9x9, gray: they are 6x6" in lines


def test_a_label_that_only_the_test_has(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(20, 77, np.uint8)))
    with pytest.raises(DatasetError, match="the test part has the label 77"):
        read_own_idx(tmp_path, None, lambda line: None)


@pytest.mark.parametrize(
    ("width", "height", "asked", "size"),
    [
        *((28, 28, None, 28), (64, 64, None, 64), (65, 65, None, 32), (96, 96, None, 32), (28, 20, None, 32)),
        *((96, 96, 96, 96), (28, 28, 14, 14)),
    ],
)
def test_ones_own_images_get_the_size_that_a_folder_gets(
    width: int, height: int, asked: int | None, size: int, tmp_path: Path
) -> None:
    images = np.zeros((6, height, width), np.uint8)
    (tmp_path / TRAIN_IMAGES).write_bytes(idx(images))
    (tmp_path / TRAIN_LABELS).write_bytes(idx(np.arange(6, dtype=np.uint8) % 2))
    said: list[str] = []
    source = read_own_idx(tmp_path, asked, said.append)
    assert source.train.images.shape == (6, 1, size, size)
    assert choose_form([Header(width, height, True)] * 6, asked, False).image_size == size
    assert ("--image-size N chooses another size" in said[-1]) is (asked is None)
