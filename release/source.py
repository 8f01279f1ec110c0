"""What is released: a commit, and nothing else of the working folder."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """A commit, laid out."""

    folder: Path
    """Its files, with the commit's time."""
    commit: str
    """Its 40 hexadecimal digits."""
    epoch: int
    """Its time, in seconds since 1970: SOURCE_DATE_EPOCH of all that is built."""
    version: str


def lay_out(repository: Path, folder: Path, revision: str = "HEAD") -> Source:
    """
    Raises:
        CalledProcessError: git knows no such revision there.
    """
    commit = _git(repository, "rev-parse", "--verify", f"{revision}^{{commit}}")
    with tarfile.open(fileobj=io.BytesIO(_raw(repository, "-c", "tar.umask=0022", "archive", commit))) as archive:
        archive.extractall(folder, filter="data")
    about = (folder / "trainer_image" / "metaqnn_trainer" / "__init__.py").read_text()
    (version,) = [line.split('"')[1] for line in about.splitlines() if line.startswith("__version__")]
    return Source(folder, commit, int(_git(repository, "log", "-1", "--format=%ct", commit)), version)


def left_out(repository: Path) -> list[str]:
    """What is changed in the working folder and not committed, in git's words: it will not be released."""
    return _git(repository, "status", "--porcelain").splitlines()


def _git(repository: Path, *arguments: str) -> str:
    return _raw(repository, *arguments).decode().strip()


def _raw(repository: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(repository), *arguments], check=True, stdout=subprocess.PIPE).stdout
