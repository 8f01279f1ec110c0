"""Where it comes from: an in-toto statement with SLSA's provenance, and the digests of all files.

Neither says when it was built nor on which machine: then two builds would differ. Nothing is signed here: who publishes
signs SHA256SUMS and the statement with keys of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from release.source import Source

PREDICATE: Final = "https://slsa.dev/provenance/v1"
SUMS: Final = "SHA256SUMS"
STATEMENT: Final = "provenance.intoto.json"
REQUIREMENTS: Final = (
    "orchestrator/requirements.txt", "trainer_image/requirements.txt", "trainer_image/requirements-torch.txt",
)  # fmt: skip


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def files(out: Path) -> list[Path]:
    """All files below a folder, in the order of their names."""
    return sorted(path for path in out.rglob("*") if path.is_file())


def write_statement(
    source: Source, out: Path, bases: Iterable[str], parameters: Mapping[str, str], tools: Mapping[str, str]
) -> None:
    """Say of all files in the folder how they were built.

    `bases` are the images that the images stand on, `tools` the versions of what built.

    Raises:
        ValueError: it would be no statement.
    """
    subjects = [
        ResourceDescriptor(name=str(path.relative_to(out)), digest={"sha256": digest(path)}).pb for path in files(out)
    ]
    materials: list[dict[str, Any]] = [{"uri": "git+file:metaqnn", "digest": {"gitCommit": source.commit}}]
    materials += [{"name": name, "digest": {"sha256": digest(source.folder / name)}} for name in REQUIREMENTS]
    materials += [_base(base) for base in sorted(set(bases))]
    predicate = {
        "buildDefinition": {
            "buildType": "urn:metaqnn:make-release:1",
            "externalParameters": dict(parameters),
            "internalParameters": {"SOURCE_DATE_EPOCH": str(source.epoch)},
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": "urn:metaqnn:make-release", "version": dict(tools)}},
    }
    statement = Statement(subjects, PREDICATE, predicate)
    statement.validate()
    text = json.dumps(MessageToDict(statement.pb), indent=1, sort_keys=True)
    (out / STATEMENT).write_text(text + "\n")


def _base(base: str) -> dict[str, Any]:
    """An image by digest, or an OCI layout, or the archive of one."""
    name, _, sha256 = base.partition("@sha256:")
    if sha256:
        return {"uri": f"pkg:oci/{name}", "digest": {"sha256": sha256}}
    place = Path(base.split(":")[1])
    return {"uri": base, "digest": {"sha256": digest(place / "index.json" if place.is_dir() else place)}}


def write_sums(out: Path) -> None:
    """SHA256SUMS, as `sha256sum --check` reads it."""
    lines = [f"{digest(path)}  {path.relative_to(out)}\n" for path in files(out)]
    (out / SUMS).write_text("".join(lines))
