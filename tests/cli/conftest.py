"""The command line called in this process, and a store with a run in it that nothing had to be trained for."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from metaqnn_orch.cli.app import main
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests import forked
from tests.cli.advice import check_advice
from tests.cli.promised import check
from tests.control.world import INFO, Session, settings

PROGRAM: Final = Path(sys.executable).with_name("metaqnn-orch")

TINY: Final = (
    "digits",
    "--parallel=1",
    "--set=recipe={epochs: 2, max_rates: 1, chance_factor: 1}",
    "--set=space.max_layers=3",
    "--set=space.max_macs=200000",
    "--set=schedule.phases=[{epsilon: 1, unique: 3}, {epsilon: 0.5, unique: 2}]",
)
"""A whole search for `start`: five nets on the digits, half a second for each."""

needs_trainer = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the extra: metaqnn-orch[train]"
)


class Answer(NamedTuple):
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, code: int = 2) -> str:
        """The error of a command that must have refused: one line, perhaps a hint, nothing on standard output. Which
        release was found may have been said before."""
        assert self.code == code, (self.code, self.out, self.err)
        assert self.out == ""
        first, *rest = [line for line in self.err.splitlines() if not line.startswith("release ")]
        assert first.startswith("error: ")
        assert all(line.startswith("hint: ") for line in rest), self.err
        assert len(rest) <= 1
        assert self.err.replace("\n", "").isprintable()
        assert "Traceback" not in self.err
        return first.removeprefix("error: ")


Cli = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own environment decides what a test sees."""
    for name in [*os.environ]:
        if name.startswith("METAQNN_") or name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECONFIG", "/no/kubeconfig")


@pytest.fixture
def own_environment() -> Iterator[None]:
    """What the command line says to the AWS SDK of its process is forgotten after the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """A command line, given as its arguments."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(words := [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        check(words, captured.out)
        check_advice(words, captured.err)
        return Answer(left.value.code, captured.out, captured.err)

    return call


def program(*arguments: object, **environment: str) -> Answer:
    """The installed program, in a process and an environment of its own."""
    python = sys.executable if "--detach" in arguments else forked.PYTHON  # the first leads a session
    done = subprocess.run(
        [python, PROGRAM, *map(str, arguments)],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
    )
    check([*map(str, arguments)], done.stdout)
    check_advice([*map(str, arguments)], done.stderr, environment)
    return Answer(done.returncode, done.stdout, done.stderr)


def clean_environment() -> dict[str, str]:
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "TMPDIR", "XDG_STATE_HOME", "OMP_NUM_THREADS")
        if name in os.environ
    }
    # Other tests want the same cores: the trainer's threads do not wait for each other by turning round and round.
    return {**kept, "OMP_WAIT_POLICY": "PASSIVE"}


class Trained(NamedTuple):
    """A store with the run `first`, and what `start TINY -o json` said when it made it."""

    store: Path
    answer: Answer


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Trained:
    """Really searched and really trained, once for all processes of pytest. Read it, and change copies alone."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs the extra: metaqnn-orch[train]")
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "trained"
    place.mkdir(exist_ok=True)
    told = place / "answer.json"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            answer = program("start", *TINY, "--run=first", "--store", place / "store", "-o", "json")
            told.write_text(json.dumps(answer))
    return Trained(place / "store", Answer(*json.loads(told.read_text())))


@pytest.fixture
def mine(trained: Trained, tmp_path: Path) -> Path:
    """A copy of that store."""
    return shutil.copytree(trained.store, tmp_path / "mine")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """An empty store, not there before it is written to."""
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def finished(store: DirectoryStore) -> DirectoryStore:
    """A store with the run `test`: twelve nets, all trained."""
    session = Session(store, settings())
    session.run_to_end()
    session.hold.release()
    return store


def settings_file(directory: Path, wanted: Settings) -> Path:
    """These settings as a file: JSON is YAML."""
    path = directory / "settings.yaml"
    path.write_text(wanted.model_dump_json())
    return path


def put_dataset(store: Store, info: DatasetInfo = INFO, padding: int = 0) -> DatasetRef:
    """A dataset object that tells what it holds, and holds nothing."""
    header = json.dumps({"__metadata__": {"info": info.model_dump_json()}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(padding)
    ref = DatasetRef(name=info.name, digest=object_digest(data))
    store.put(keys.dataset(ref.name, ref.digest), data)
    return ref


def tree(directory: Path) -> list[str]:
    """Everything below a directory, empty directories too; nothing where there is none."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
