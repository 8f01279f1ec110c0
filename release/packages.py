"""The packages of a commit: wheel and source distribution by hatchling, the chart by Helm."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from release.source import Source


def distributions(source: Source, out: Path) -> None:
    """Wheel and sdist. hatchling itself orders the members and takes their times from SOURCE_DATE_EPOCH."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(source.epoch)}
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(build, cwd=source.folder, env=environment, check=True, capture_output=True)


def chart(source: Source, out: Path, helm: Path) -> None:
    """What `helm package` makes of the chart, packed again: Helm writes the time of packing."""
    with tempfile.TemporaryDirectory() as folder:
        package = [str(helm), "package", "charts/metaqnn", "--destination", folder]
        subprocess.run(package, cwd=source.folder, check=True, stdout=subprocess.DEVNULL)
        (packed,) = Path(folder).glob("*.tgz")
        (out / packed.name).write_bytes(packed_again(packed.read_bytes(), source.epoch))


def packed_again(archive: bytes, epoch: int) -> bytes:
    """A .tar.gz with the same files by name, all of that time and of nobody. The first stays the first:
    Chart.yaml, where Helm looks for it.
    """
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        first, *others = old.getmembers()
        for member in (first, *sorted(others, key=lambda member: member.name)):
            clean = tarfile.TarInfo(member.name)
            clean.size, clean.mode, clean.mtime, clean.type = member.size, 0o644, epoch, member.type
            new.addfile(clean, old.extractfile(member))
    return gzip.compress(plain.getvalue(), mtime=epoch)
