"""Folders of images as people really have them, made by a script outside of the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Source
from metaqnn_trainer.sources.make import encode, make_dataset, read_own

SCRIPT = Path(__file__).parents[4] / "shared" / "cases" / "odd_images.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the script that makes the folders is not here")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    subprocess.run([sys.executable, SCRIPT], cwd=folder, check=True, capture_output=True)
    return folder


def read(folder: Path, skip_bad: bool = False) -> tuple[Source, str]:
    lines: list[str] = []
    source = read_own("own", folder, None, False, lines.append, skip_bad)
    encode("own", source)
    return source, "\n".join(lines)


WHOLE = {
    "appledouble": (24, 0, "files of macOS (3)"),
    "macosx": (20, 4, "files of macOS (1)"),
    "tiny": (24, 0, ""),
    "mixednest": (25, 0, ""),
    "hymenoptera": (24, 0, "is the part for validation"),
    "trainingtesting": (24, 24, ""),
    "capital": (24, 24, ""),
    "flattest": (24, 0, "4 images left out"),
    "kinds": (34, 0, ""),
    "dirjpg": (24, 0, ""),
    "jfif": (27, 0, ""),
    "idx-kaggle": (100, 20, ""),
    "idx-kagglefolders": (100, 20, ""),
    "idx-letters": (200, 20, ""),
    "idx-emnistnames": (500, 20, ""),
    "idx-notsquare": (100, 20, "the images become 32x32, gray: they are 20x28"),
    **{f"exif-{kind}": (24, 0, "") for kind in ("rational", "srational", "type", "string", "dup", "subifd")},
}
BAD = {
    "sixteen": "x16.png has more than 8 bits",
    "truncated": "cat/000.jpg cannot be read as an image",
    "zero": "cat/000.jpg cannot be read as an image: it is not one",
    "html": "cat/000.jpg cannot be read as an image: it is not one",
    "symlinkloop": "broken.jpg cannot be read as an image: it is a link to a file that does not exist",
    "bomb": "huge.png cannot be read as an image",
    "testextra": "training does not have: bird",
}
NEVER = {
    "oneclass": "contains only the class 'cat'",
    "emptyclass": "the class 'zebra' has 0 images",
    "idx-html": "is not an IDX file",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_folder_that_can_be_used_is_used(odd: Path, name: str) -> None:
    train, test, words = WHOLE[name]
    source, said = read(odd / name)
    assert (len(source.train.labels), len(source.test.labels)) == (train, test)
    assert words in said
    assert (source.validation is not None) == (name == "hymenoptera")


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_named_and_can_be_left_out(odd: Path, name: str) -> None:
    with pytest.raises(DatasetError) as raised:
        read(odd / name)
    assert BAD[name] in str(raised.value)
    assert "--skip-bad leaves" in str(raised.value)
    _, said = read(odd / name, skip_bad=True)
    assert "left out" in said


@pytest.mark.parametrize("name", NEVER)
def test_what_is_no_set_is_refused_in_one_line(odd: Path, name: str) -> None:
    for skip_bad in (False, True):
        with pytest.raises(DatasetError) as raised:
            read(odd / name, skip_bad)
        assert NEVER[name] in str(raised.value)
        assert "\n" not in str(raised.value)


def test_every_folder_was_thought_of(odd: Path) -> None:
    assert {path.name for path in odd.iterdir()} == {*WHOLE, *BAD, *NEVER, "idx-good"}


def test_kaggles_names_are_mnists(odd: Path, tmp_path: Path) -> None:
    shutil.copytree(odd / "idx-kaggle", tmp_path / "dots")
    for path in (tmp_path / "dots").iterdir():
        path.rename(path.with_name(path.name.replace(".", "-")))
    assert make_dataset("mnist", odd / "idx-kaggle").data == make_dataset("mnist", tmp_path / "dots").data
    assert make_dataset("mnist", odd / "idx-kagglefolders").info.train == 80
