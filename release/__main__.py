"""python -m release FOLDER [--helm PROGRAM] [--builder buildah] [NAME=IMAGE …]     (by `make release`)"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from release import images, packages, provenance, sbom
from release.source import Source, lay_out, left_out

REPOSITORY = Path(__file__).parents[1]


def release(source: Source, out: Path, helm: Path, builder: str, chosen: Mapping[str, str]) -> None:
    """Build everything of a commit into a folder that is empty or not there. Without a builder there are no images.

    Raises:
        NotPinnedError: an image to build on is named by a tag; nothing was built.
    """
    chosen = {name: image for name, image in chosen.items() if image}
    names = [name for of in images.bases(source, chosen).values() for name in of] if builder else []
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty: what lies there would be signed with the rest")
    packages.distributions(source, out)
    packages.chart(source, out, helm)
    sbom.write(source, f"dir:{source.folder}", "metaqnn", out)
    for image, built in images.build(source, out, builder, chosen).items() if builder else ():
        sbom.write(source, f"oci-dir:{built.layout}", image, out)
    provenance.write_statement(source, out, names, chosen, tools(helm, builder))
    provenance.write_sums(out)


def tools(helm: Path, builder: str) -> dict[str, str]:
    """The versions of what builds."""
    found = {"python": sys.version.split()[0], "hatchling": version("hatchling")}
    found |= {"helm": _said(str(helm), "version", "--short"), "syft": _said(str(sbom.syft()), "--version")}
    return found | ({"builder": _said(*shlex.split(builder), "--version")} if builder else {})


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def differences(one: Path, other: Path) -> list[str]:
    """The names of files that are not the same in both folders."""
    found = [
        {str(path.relative_to(out)): provenance.digest(path) for path in provenance.files(out)} for out in (one, other)
    ]
    return sorted({name for name, _ in found[0].items() ^ found[1].items()})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--helm", type=Path, required=True)
    parser.add_argument("--builder", default="")
    parser.add_argument("--check", action="store_true", help="build twice, and compare")
    parser.add_argument("images", nargs="*", metavar="NAME=IMAGE")
    given = parser.parse_intermixed_args()
    chosen = dict(word.split("=", 1) for word in given.images)
    for line in left_out(REPOSITORY):
        print(f"not committed, and so not released: {line}", file=sys.stderr)
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as folder:
        source = lay_out(REPOSITORY, Path(folder) / "source")
        try:
            release(source, given.out, given.helm, given.builder, chosen)
            if given.check:
                again = lay_out(REPOSITORY, Path(folder) / "another place" / "source", source.commit)
                release(again, Path(folder) / "again", given.helm, given.builder, chosen)
                if differing := differences(given.out, Path(folder) / "again"):
                    print("built twice, and not the same: " + ", ".join(differing), file=sys.stderr)
                    return 1
        except (images.NotPinnedError, FileExistsError, FileNotFoundError) as error:
            print(error, file=sys.stderr)
            return 2
    print(f"{source.version} of commit {source.commit}: {given.out}" + (", twice the same" if given.check else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
