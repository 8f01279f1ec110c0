"""A user's own images: one folder for each class."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Report, Source
from metaqnn_trainer.sources.layout import ImageFiles, find_layout
from metaqnn_trainer.sources.picture import Header, read_header, read_picture, size_for
from metaqnn_trainer.sources.split import stratified

TEST_SHARE: Final = 0.15  # share of the images for the test, where the folder has no parts
MAX_NAMED: Final = 200  # files that are named one by one
REPORT_SECONDS: Final = 5.0


class Form(NamedTuple):
    """The form that all images of a dataset get, and in words what they are by themselves."""

    image_size: int
    grayscale: bool
    found: str

    def __str__(self) -> str:
        return f"{self.image_size}x{self.image_size}, {'gray' if self.grayscale else 'RGB'}"


@dataclass(slots=True)
class _Files:
    """The files of a folder while they are read; those that cannot be used are gathered."""

    total: int
    report: Report
    bad: dict[Path, str] = field(default_factory=dict)
    _done: int = 0
    _reported: float = field(default_factory=time.monotonic)

    def headers(self, part: ImageFiles) -> dict[Path, Header]:
        found = {}
        for path in (path for files in part.files.values() for path in files):
            try:
                found[path] = read_header(path)
            except DatasetError as error:
                self.bad[path] = str(error)
        return found

    def read(self, part: ImageFiles, form: Form) -> LabelledImages:
        images: list[NDArray[np.uint8]] = []
        labels: list[int] = []
        for label, files in enumerate(part.files.values()):
            for path in files:
                self._progress()
                if path in self.bad:
                    continue
                try:
                    images.append(read_picture(path, form.image_size, form.grayscale))
                    labels.append(label)
                except DatasetError as error:
                    self.bad[path] = str(error)
        none = np.empty((0, 1 if form.grayscale else 3, form.image_size, form.image_size), np.uint8)
        return LabelledImages(np.stack(images) if images else none, np.array(labels, dtype=np.int64))

    def judge(self, directory: Path, skip_bad: bool) -> None:
        """Name the files that cannot be used.

        Raises:
            DatasetError: there are some, and they are not to be left out.
        """
        if not self.bad:
            return
        one = len(self.bad) == 1
        if one and not skip_bad:
            raise DatasetError(f"{next(iter(self.bad.values()))}; --skip-bad leaves it out")
        for line in [*self.bad.values()][:MAX_NAMED]:
            self.report(line)
        if len(self.bad) > MAX_NAMED:
            self.report(f"and {len(self.bad) - MAX_NAMED:,} more")
        counted = f"{len(self.bad):,} of {self.total:,} files in {directory}"
        if not skip_bad:
            raise DatasetError(f"{counted} cannot be used, and are named above; --skip-bad leaves them out")
        if len(self.bad) == self.total:
            raise DatasetError(f"none of the {self.total:,} files in {directory} can be used: they are named above")
        self.report(f"{counted} left out, because {'it' if one else 'they'} cannot be used")

    def _progress(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self.report(f"{self._done:,} of {self.total:,} images are read")
            self._reported = now


def read_folder(
    directory: Path, image_size: int | None, grayscale: bool, report: Report, skip_bad: bool = False
) -> Source:
    """DIR/train/CLASS/* with perhaps DIR/val/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*, of which a part becomes the
    test set.

    Images are turned upright, resized without regard to their proportions, and made RGB, or gray if all are gray or
    `grayscale` is set. Without `image_size` they keep their own, if all are squares of one size up to 64, and else get
    32. Files without an image's ending are passed over. With `skip_bad`, files that cannot be read are left out.

    Raises:
        DatasetError: the text names the folder or file, and what is wrong with it. If there are several such files,
            `report` is told of each.
    """
    layout = find_layout(directory, report, skip_bad)
    files = _Files(sum(map(len, layout.parts())), report)
    for part in layout.parts():
        report(f"{part.root}: {amount(len(part), 'image')} in {len(layout.class_names):,} classes")
    headers = {path: header for part in layout.parts() for path, header in files.headers(part).items()}
    form = choose_form([*headers.values()], image_size, grayscale)
    train, validation, test = (
        files.read(part, form) if part is not None else None for part in (layout.train, layout.validation, layout.test)
    )
    files.judge(directory, skip_bad)
    report(f"the images become {form}: {form.found}" + ("" if image_size else "; --image-size N chooses another size"))
    assert train is not None
    if not layout.is_parted:
        kept, held_back = stratified(train.labels, round(TEST_SHARE * len(train.labels)))
        train, test = train.take(kept), train.take(held_back)
    elif validation is not None:
        report(f"{layout.validation.root if layout.validation else directory} is the part for validation")
    if test is None:
        report("there is no part for the test: accuracy on images that the search never saw cannot be measured")
        test = train.take(np.empty(0, np.int64))
    return Source(train, test, layout.class_names, f"a folder of images, resized to {form}", validation)


def choose_form(headers: Sequence[Header], image_size: int | None, grayscale: bool) -> Form:
    """The form of a dataset of images with these headers."""
    sizes = {(header.width, header.height) for header in headers}
    gray = bool(headers) and all(header.is_gray for header in headers)
    return Form(image_size or size_for(sizes), grayscale or gray, _in_words(sizes, gray))


def _in_words(sizes: set[tuple[int, int]], gray: bool) -> str:
    if not sizes:
        return "none can be read"
    first, *_, last = [f"{width}x{height}" for width, height in sorted(sizes, key=lambda size: size[0] * size[1])] * 2
    between = f"they are {first}" if len(sizes) == 1 else f"they are from {first} to {last}"
    return between + (", and all gray" if gray else "")
