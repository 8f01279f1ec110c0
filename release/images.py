"""The images of a commit, as OCI layouts on disk: no registry is asked for anything but the base images."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from release.source import Source

VARIABLES: Final = ("BASE_IMAGE", "BUILD_IMAGE", "ORCHESTRATOR_BASE_IMAGE", "ORCHESTRATOR_BUILD_IMAGE")
"""The variables of `make images` that name images."""
DOCKERFILES: Final = {"metaqnn-trainer": "trainer_image/Dockerfile", "metaqnn-orchestrator": "orchestrator/Dockerfile"}

_PINNED: Final = re.compile(r".+@sha256:[0-9a-f]{64}|oci(-archive)?:.+")


class NotPinnedError(Exception):
    """An image to build on is named by a tag, which may mean another one tomorrow."""


class Built(NamedTuple):
    layout: Path
    materials: list[str]
    """The images that it was built on, by digest or as a layout."""


def bases(source: Source, chosen: Mapping[str, str]) -> dict[str, list[str]]:
    """By image, its BASE_IMAGE and BUILD_IMAGE, as `make images` and the Dockerfile decide. `chosen` are VARIABLES.

    Raises:
        NotPinnedError: one of them is named neither by digest nor as an OCI layout.
    """
    found = {}
    for image, dockerfile in DOCKERFILES.items():
        prefix = "ORCHESTRATOR_" if image == "metaqnn-orchestrator" else ""
        base = chosen.get(f"{prefix}BASE_IMAGE") or chosen.get("BASE_IMAGE", "")
        given = [base, chosen.get(f"{prefix}BUILD_IMAGE") or base]
        text = (source.folder / dockerfile).read_text()
        names = [re.findall(rf"^ARG {name}=(\S+)$", text, re.MULTILINE)[0] for name in ("BASE_IMAGE", "BUILD_IMAGE")]
        found[image] = [one or default for one, default in zip(given, names, strict=True)]
        for name in found[image]:
            if not _PINNED.fullmatch(name):
                raise NotPinnedError(
                    f"{image}: {name} is named by a tag, which may mean another image tomorrow: `make image-bases` "
                    "writes digests into the Dockerfiles, or say BASE_IMAGE=NAME@sha256:… or BASE_IMAGE=oci:FOLDER"
                )
    return found


def build(source: Source, out: Path, builder: str, chosen: Mapping[str, str]) -> dict[str, Built]:
    """Both images, into out/NAME-VERSION.oci. `builder` is buildah or podman: what `docker build`
    makes has the times of the day.

    Nothing comes from the builder's cache, and all files in new layers have the commit's time.

    Raises:
        NotPinnedError: before anything is built.
    """
    materials = bases(source, chosen)
    prefix = f"localhost/release-{uuid.uuid4().hex[:12]}"
    variables = {
        **{name: chosen[name] for name in VARIABLES if chosen.get(name)},
        **{"BUILDER": builder, "IMAGES": prefix, "REVISION": source.commit, "SOURCE_DATE_EPOCH": str(source.epoch)},
        "IMAGE_FLAGS": f"--no-cache --timestamp {source.epoch}",
    }
    clean = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    command = ["make", "--no-print-directory", "images", *(f"{name}={value}" for name, value in variables.items())]
    subprocess.run(command, cwd=source.folder, env=clean, check=True)
    built = {}
    for image, names in materials.items():
        layout = out / f"{image}-{source.version}.oci"
        tagged = f"{prefix}/{image}:{source.version}"
        _save(shlex.split(builder), tagged, layout, source.version)
        built[image] = Built(layout, names)
    return built


def _save(builder: list[str], tagged: str, layout: Path, tag: str) -> None:
    """Write an image into a layout, and remove its name from the builder."""
    subprocess.run([*builder, "push", "--quiet", tagged, f"oci:{layout}:{tag}"], check=True)
    subprocess.run([*builder, "rmi", tagged], check=True, stdout=subprocess.DEVNULL)
