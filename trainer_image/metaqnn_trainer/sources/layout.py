"""Where the images of a folder lie: its parts, its classes, and what is passed over. It opens no image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Report

SUFFIXES: Final = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

PartName = Literal["train", "validation", "test"]
_PARTS: Final[dict[str, PartName]] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_SHOWN: Final = 5  # names in one line


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The image files of one part, by the names of their classes, in order."""

    root: Path
    files: Mapping[str, Sequence[Path]]

    def __len__(self) -> int:
        return sum(map(len, self.files.values()))


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a folder of images. Where it has none, everything is in `train`, and `is_parted` is false."""

    class_names: list[str]
    train: ImageFiles
    validation: ImageFiles | None = None
    test: ImageFiles | None = None
    is_parted: bool = False

    def parts(self) -> list[ImageFiles]:
        """The parts that there are; that of training first."""
        return [part for part in (self.train, self.validation, self.test) if part is not None]


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk through folders, which counts what it passes over."""

    passed: Counter[str] = field(default_factory=Counter)

    def folders(self, root: Path) -> list[Path]:
        """The visible folders in `root`; it counts the files beside them as passed over."""
        found = []
        for path in sorted(root.iterdir()):
            if self._passes_over(path):
                continue
            if path.is_dir():
                found.append(path)
            else:
                self.passed["images outside of the classes" if _is_image(path) else "files of other kinds"] += 1
        return found

    def images(self, folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
        """The image files in a folder and in all folders below it, in order."""
        status = folder.stat()
        if (here := (status.st_dev, status.st_ino)) in above:  # a link to a folder that the walk is in
            return
        for path in sorted(folder.iterdir()):
            if self._passes_over(path):
                continue
            if path.is_dir():
                yield from self.images(path, above | {here})
            elif _is_image(path):
                yield path
            else:
                self.passed["files of other kinds"] += 1

    def _passes_over(self, path: Path) -> bool:
        if path.name == "__MACOSX" or path.name.startswith("._") or path.name == ".DS_Store":
            kind = "files of macOS"
        elif path.name == ".ipynb_checkpoints":
            kind = "checkpoints of notebooks"
        elif path.name.startswith("."):
            kind = "hidden files"
        else:
            return False
        self.passed[kind] += sum(below.is_file() for below in path.rglob("*")) if path.is_dir() else 1
        return True


def find_layout(directory: Path, report: Report, skip_bad: bool = False) -> Layout:
    """DIR/train/CLASS with perhaps DIR/val/CLASS and DIR/test/CLASS, or DIR/CLASS. Folders in that of a class belong to
    it. With `skip_bad`, classes that only validation or test have are left out; `report` is told what is left out.

    Raises:
        DatasetError: the text names the folder, and what is wrong with it.
    """
    if not directory.is_dir():
        raise DatasetError(f"{directory} is not a directory; it must contain one folder of images for each class")
    walk = _Walk()
    folders = walk.folders(directory)
    named = _parts(directory, folders)
    train = named.get("train")
    is_parted = train is not None and any(path.is_dir() and path.name[0] != "." for path in train.iterdir())
    if not is_parted and (others := [path.name for part, path in named.items() if part != "train"]):
        raise DatasetError(
            f"{directory} has {' and '.join(others)}, but no train: put the folders of the classes to learn from into "
            f"{directory / 'train'}"
        )
    root = train if train is not None and is_parted else directory
    classes = walk.folders(root) if is_parted else folders
    _check_classes(root, classes)
    names = [path.name for path in classes]
    layout = Layout(names, _part(walk, root, classes), is_parted=is_parted)
    if is_parted:
        strange = [path.name for path in folders if path not in named.values()]
        if strange:
            report(f"{directory}: {_list(strange)} left out, neither train, val nor test")
        held_back = {
            part: _held_back(walk, named[part], names, report, skip_bad)
            for part in ("validation", "test")
            if part in named
        }
        layout = Layout(names, layout.train, held_back.get("validation"), held_back.get("test"), True)
    if not len(layout.train):
        raise DatasetError(f"{root} contains no images ({', '.join(sorted(SUFFIXES))})")
    if counted := {kind: count for kind, count in walk.passed.items() if count}:
        report("passed over: " + ", ".join(f"{kind} ({count:,})" for kind, count in counted.items()))
    return layout


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _parts(directory: Path, folders: Sequence[Path]) -> dict[PartName, Path]:
    found: dict[PartName, Path] = {}
    for path in folders:
        part = _PARTS.get(path.name.lower())
        if part is not None and (other := found.setdefault(part, path)) != path:
            raise DatasetError(f"{directory} has both {other.name} and {path.name}: which of them is meant?")
    return found


def _check_classes(root: Path, classes: Sequence[Path]) -> None:
    for path in classes:
        if not path.name.isprintable():
            raise DatasetError(f"the folder {path.name!r} in {root} cannot be the name of a class")
    if len(classes) >= 2:
        return
    found = f"only the class {classes[0].name!r}" if classes else "no folders"
    inside = [path for path in classes[0].iterdir() if path.is_dir()] if classes else []
    meant = f"; perhaps you mean {classes[0]}" if len(inside) >= 2 else ""
    raise DatasetError(
        f"{root} contains {found}, but must contain one folder of images for each class, at least two{meant}"
    )


def _part(walk: _Walk, root: Path, classes: Sequence[Path]) -> ImageFiles:
    return ImageFiles(root, {path.name: [*walk.images(path)] for path in classes})


def _held_back(walk: _Walk, root: Path, names: Sequence[str], report: Report, skip_bad: bool) -> ImageFiles | None:
    """The part for validation or test in `root`; None where its images have no classes."""
    before = walk.passed["images outside of the classes"]
    folders = walk.folders(root)
    unlabelled = walk.passed["images outside of the classes"] - before
    if unlabelled and not folders:
        walk.passed["images outside of the classes"] = before
        report(f"{root}: {amount(unlabelled, 'image')} left out, in no folder of a class")
        return None
    part = _part(walk, root, folders)
    strange = {name: len(files) for name, files in part.files.items() if name not in names}
    if strange:
        counted = _list([f"{name} ({count:,})" for name, count in strange.items()])
        if not skip_bad:
            raise DatasetError(f"{root} has classes that training does not have: {counted}; --skip-bad leaves them out")
        report(f"{root}: left out, because training does not have these classes: {counted}")
    missing = [name for name in names if not part.files.get(name)]
    if missing and len(missing) < len(names):
        report(f"{root} has no images of {_list(missing)}")
    part = ImageFiles(root, {name: part.files.get(name, []) for name in names})
    if not len(part):
        report(f"{root}: left out, because it has no images")
    return part if len(part) else None


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
