"""A release is the same to the byte wherever and whenever it is built, says where it comes from, leaves nothing out.

The images take minutes: `make release-check BUILDER=buildah BASE_IMAGE=… ORCHESTRATOR_BASE_IMAGE=…` builds them twice
and compares. What surrounds them is built here.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from release.__main__ import differences, release
from release.source import Source, lay_out, left_out

from release import images, packages, provenance, sbom
from tests import helm

ROOT = Path(__file__).parents[2]
GIT = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own with what is committed and what is not yet: a test must not depend on a commit."""
    place = tmp_path_factory.mktemp("repository")
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*GIT, "-C", place, *command], check=True)
    return place


@pytest.fixture(scope="module")
def on_disk() -> Iterator[str]:
    """A folder that is not in /dev, which syft passes over."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield folder


@pytest.fixture(scope="module")
def twice(repository: Path, on_disk: str) -> tuple[Source, Path, Path]:
    """The release of one commit, built in two places, at two times, with another umask and another time zone."""
    try:
        sbom.syft()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    place = Path(on_disk)
    first = lay_out(repository, place / "source")
    release(first, place / "one", helm.program("helm"), "", {})
    time.sleep(1.1)  # archives hold seconds
    os.environ["TZ"], old = "Asia/Tokyo", os.umask(0o077)
    try:
        again = lay_out(repository, place / "at another place" / "source", first.commit)
        release(again, place / "other", helm.program("helm"), "", {})
    finally:
        del os.environ["TZ"]
        os.umask(old)
    return first, place / "one", place / "other"


def test_it_is_the_same_twice(twice: tuple[Source, Path, Path]) -> None:
    source, one, other = twice
    assert differences(one, other) == []
    version = source.version
    assert {path.name for path in one.iterdir()} == {
        *(f"metaqnn_orch-{version}-py3-none-any.whl", f"metaqnn_orch-{version}.tar.gz"),
        *(f"metaqnn-{version}.tgz", f"metaqnn-{version}.spdx.json", "provenance.intoto.json", "SHA256SUMS"),
    }
    (other / "SHA256SUMS").write_text("")
    (other / "more").write_text("")
    assert differences(one, other) == ["SHA256SUMS", "more"]


def test_the_sums_and_the_statement_name_every_file(twice: tuple[Source, Path, Path]) -> None:
    source, out, _ = twice
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    files = {path.name: provenance.digest(path) for path in out.iterdir()}
    summed = {line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    assert summed == files.keys() - {"SHA256SUMS"}
    statement = json.loads((out / "provenance.intoto.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    assert subjects == {name: files[name] for name in summed - {"provenance.intoto.json"}}
    build = statement["predicate"]["buildDefinition"]
    assert build["resolvedDependencies"][0]["digest"] == {"gitCommit": source.commit}
    assert {"helm", "hatchling", "syft", "python"} == statement["predicate"]["runDetails"]["builder"]["version"].keys()
    assert str(out) not in json.dumps(statement)
    assert str(source.folder) not in json.dumps(statement)


def test_the_sbom_lists_what_the_requirements_pin(twice: tuple[Source, Path, Path]) -> None:
    source, out, _ = twice
    document = json.loads((out / f"metaqnn-{source.version}.spdx.json").read_text())
    assert document["spdxVersion"].startswith("SPDX-2.")
    found = {(package["name"], package.get("versionInfo")) for package in document["packages"]}
    pinned = (source.folder / "orchestrator" / "requirements.txt").read_text().splitlines()
    wanted = {tuple(line.split(" ")[0].split("==")) for line in pinned if "==" in line and " ;" not in line}
    assert len(wanted) > 40
    assert {(name.lower(), version) for name, version in found} >= wanted
    assert str(source.folder) not in json.dumps(document)
    # Of its time and its name, nothing is left to chance: what differs only in them is the same document.
    other = {**document, "documentNamespace": "x", "creationInfo": {**document["creationInfo"], "created": "x"}}
    assert sbom.settled(other, source.epoch) == document


def test_the_packages_can_be_used(twice: tuple[Source, Path, Path], tmp_path: Path) -> None:
    source, out, _ = twice
    chart = out / f"metaqnn-{source.version}.tgz"
    shown = subprocess.run([helm.program("helm"), "show", "chart", chart], check=True, capture_output=True, text=True)
    assert "name: metaqnn" in shown.stdout
    folder = source.folder / "charts" / "metaqnn"
    with tarfile.open(chart) as archive:
        inside = {member.name.partition("/")[2] for member in archive if member.isfile()}
        assert {(member.mtime, member.uid, member.uname) for member in archive} == {(source.epoch, 0, "")}
    assert inside == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(out / f"metaqnn_orch-{source.version}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert {"metaqnn_orch/__main__.py", "metaqnn_trainer/__main__.py", "metaqnn_trainer/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests", "release")) or name.endswith(".pyc")]


def test_what_is_not_committed_is_named_and_stays_out(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run([*GIT, "clone", "--quiet", repository, clone], check=True)
    (clone / "orchestrator" / "metaqnn_orch" / "mine.py").write_text("")
    (clone / "README.md").write_text("changed")
    assert {line.split()[1] for line in left_out(clone)} == {"README.md", "orchestrator/metaqnn_orch/mine.py"}
    source = lay_out(clone, tmp_path / "source")
    assert not (source.folder / "orchestrator" / "metaqnn_orch" / "mine.py").exists()
    assert (source.folder / "README.md").read_bytes() == (repository / "README.md").read_bytes()
    times = {path.stat().st_mtime for path in source.folder.rglob("*") if path.is_file()}
    assert times == {source.epoch}


def test_nothing_is_mixed_with_what_lies_there(repository: Path, tmp_path: Path) -> None:
    source = lay_out(repository, tmp_path / "source")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.tgz").write_text("old")
    with pytest.raises(FileExistsError, match="not empty"):
        release(source, tmp_path / "out", helm.program("helm"), "", {})


PINNED = "registry.example/base@sha256:" + hashlib.sha256().hexdigest()


def test_bases_are_named_by_digest_or_lie_here(repository: Path, tmp_path: Path) -> None:
    source = lay_out(repository, tmp_path / "source")
    with pytest.raises(images.NotPinnedError, match="make image-bases"):
        release(source, tmp_path / "out", helm.program("helm"), "buildah", {})
    assert not (tmp_path / "out").exists()
    for tagged in ("registry.example/base:1", "registry.example/base", "registry.example/base@sha256:12", PINNED + "0"):
        for one in images.VARIABLES:
            with pytest.raises(images.NotPinnedError, match=tagged):
                images.bases(source, {"BASE_IMAGE": PINNED, one: tagged})
    layout = "oci:/srv/base"
    found = images.bases(source, {"BASE_IMAGE": PINNED, "ORCHESTRATOR_BASE_IMAGE": layout, "BUILD_IMAGE": layout})
    assert found == {"metaqnn-trainer": [PINNED, layout], "metaqnn-orchestrator": [layout, layout]}


def test_a_chart_that_was_packed_at_another_time_or_by_another_is_the_same() -> None:
    with tarfile.open(fileobj=(made := io.BytesIO()), mode="w:gz") as archive:
        for name in ("metaqnn/Chart.yaml", "metaqnn/values.yaml", "metaqnn/a.yaml"):
            member = tarfile.TarInfo(name)
            member.mtime, member.uid, member.uname, member.mode = int(time.time()), 1000, "ada", 0o600
            archive.addfile(member)
    packed = packages.packed_again(made.getvalue(), 1_700_000_000)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["metaqnn/Chart.yaml", "metaqnn/a.yaml", "metaqnn/values.yaml"]
    assert packages.packed_again(packed, 1_700_000_000) == packed
