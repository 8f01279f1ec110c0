"""Whatever a plug-in is or does, whoever needs it reads one sentence that names it: its kind, name and distribution."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from metaqnn_orch.settings import blame, model, plugged, presets
from metaqnn_trainer import plugins
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli
from tests.control.world import ScriptedLauncher, Session, settings

MODULE: Final = "odd_kinds"
CODE: Final = """
from pydantic import BaseModel
from metaqnn_orch.search.sampling import new_design
from metaqnn_orch.search.searcher import Proposal, Searcher
from metaqnn_trainer.spaces.base import Cost, Part, Space
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn

NUMBER = 7
FUNCTION = print

class Empty(BaseModel):
    pass

class Fine(Searcher):
    Options = Empty
    def good(self, step, known):
        return Proposal(new_design(self.space, known.designs, self.randomness("propose", step)))
    propose = good
    def tell(self, experience):
        pass

class Abstract(Searcher):
    Options = Empty
    def propose(self, step, known):
        return None

class Optionless(Searcher):
    propose = Fine.good
    tell = Fine.tell

class OddOptions(Fine):
    Options = 7

class UnsureOptions(Fine):
    class Options(BaseModel):
        def model_post_init(self, context):
            raise KeyError("unsure")

class Clashing(Fine):
    class Options(BaseModel):
        confirm: int = 1

class Unconfirmed(Fine):
    confirm = 7

class Elsewhere(Fine):
    section = "nowhere"

class Unmade(Fine):
    def __init__(self, setup):
        raise RuntimeError("not\\ntoday")

class Raises(Fine):
    def propose(self, step, known):
        raise IndexError("out of reach")

class Leaves(Fine):
    def propose(self, step, known):
        raise SystemExit(0)

class Epsilon(Fine):
    def epsilon(self, known):
        return "high"

class Text(Fine):
    def propose(self, step, known):
        return "[SM(10)]"

class Nothing(Fine):
    def propose(self, step, known):
        return None

class Foreign(Fine):
    def propose(self, step, known):
        return Proposal("resnet")

class Recipe(Fine):
    def propose(self, step, known):
        return self.good(step, known)._replace(recipe={"epoch": 3})

class Heir(Fine):
    def propose(self, step, known):
        return self.good(step, known)._replace(initial="[C(16,3,1), SM(10)]")

class Mute(Fine):
    def explain(self, beginning, known):
        raise ValueError("no comment")
    def findings(self):
        return 7

class Size(BaseModel):
    image_size: int = 8
    channels: int = 1
    classes: int = 10

class Letters(Space):
    Options = Size
    @property
    def start(self):
        return ()
    def legal(self, state):
        return ["a", "b"]
    def step(self, state, move):
        return (*state, move) if len(state) < 2 else None
    def text(self, moves):
        return "-".join(moves)
    def parse(self, text):
        return text.split("-")
    def describe(self, design):
        return [Part("x", "y", Cost(1, 1))]
    def net(self, design):
        return "[C(16,3,1), SM(10)]"

TURNED = []

class SpaceTurning(Cnn):
    class Options(BaseModel):
        image_size: int = 8
        channels: int = 1
        classes: int = 10
    def __init__(self, options, model):
        super().__init__(SpaceRules(image_size=8, channels=1, classes=10, max_layers=3), model)
    def legal(self, state):
        if TURNED:
            raise IndexError("turned")
        return super().legal(state)

class SpaceUnmade(Letters):
    def __init__(self, options, model):
        raise RuntimeError("no room")

class SpaceStart(Letters):
    @property
    def start(self):
        raise KeyError("where")

class SpaceMiddle(Letters):
    def legal(self, state):
        if len(state) == 2:
            raise IndexError("in the middle")
        return ["a", "b"]

class SpaceNothing(Letters):
    def legal(self, state):
        return []

class SpaceText(Letters):
    def legal(self, state):
        return "ab"

class SpaceParts(Letters):
    def describe(self, design):
        return 7

class SpaceSilent(Letters):
    def text(self, moves):
        return None

class SpaceFollows(Letters):
    follows = 7

class SpaceAbstract(Space):
    Options = Size
"""
SEARCHERS: Final = {
    "number": "cannot be used: it is of type int, and a subclass of metaqnn_orch.search.searcher.Searcher is wanted",
    "function": "cannot be used: it is of type builtin_function_or_method",
    "abstract": "cannot be used: it does not define tell",
    "optionless": "cannot be used: it has no Options",
    "oddoptions": "cannot be used: its Options is neither a dataclass nor a pydantic model",
    "unsureoptions": "failed: KeyError: 'unsure'",
    "clashing": "cannot be used: Options has the field confirm, which every searcher has already",
    "unconfirmed": "cannot be used: confirm is 7, and no Confirm",
    "elsewhere": "cannot be used: section is 'nowhere', and no section of the settings",
    "unmade": "failed while being made: RuntimeError: not today",
    "raises": "failed while proposing step 0: IndexError: out of reach",
    "leaves": "failed while proposing step 0: SystemExit: 0",
    "text": "proposes '[SM(10)]' at step 0, which is no Proposal",
    "nothing": "proposes nothing at its first step",
    "foreign": "proposes 'resnet' at step 0: column 1: ",
    "recipe": "proposes a recipe at step 0 that is none: epoch: is unknown",
    "heir": "proposes weights to begin with at step 0 of '[C(16,3,1), SM(10)]', which was never proposed",
}
SPACES: Final = {
    "number": "cannot be used: it is of type int, and a subclass of metaqnn_trainer.spaces.base.Space is wanted",
    "spaceabstract": "cannot be used: it does not define describe, legal, parse, start, step, text",
    "spacefollows": "cannot be used: follows is no mapping",
    "spaceunmade": "failed while being made: RuntimeError: no room",
    "spacestart": "failed while answering start: KeyError: 'where'",
    "spacemiddle": "failed while answering ",
    "spacenothing": "failed while answering legal: TypeError: legal returned no move",
    "spacetext": "failed while answering legal: TypeError: legal returned 'ab'",
    "spacesilent": "failed while answering ",
}
FINE: Final = ("fine", "mute", "epsilon", "letters", "spaceparts", "spaceturning")
"""Plug-ins at which nothing is wrong as long as nobody asks for what they do wrong."""


def _forget() -> None:
    """Have plug-ins be looked for again."""
    for cached in (
        plugins._members,
        plugins._installed,
        plugged._shape,
        plugged._space,
        model._made,
        presets._found,
        blame.guarded,
    ):
        cached.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture(scope="module", autouse=True)
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A distribution of plug-ins, nearly all of them broken."""
    folder = tmp_path_factory.mktemp("installed")
    metadata = folder / "odd-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (folder / f"{MODULE}.py").write_text(CODE)
    sys.path.insert(0, str(folder))
    try:
        loaded = importlib.import_module(MODULE)
        places = {name.lower(): f"{MODULE}:{name}" for name in vars(loaded)}
        names = {
            "metaqnn.searchers": [*SEARCHERS, *FINE[:3]],
            "metaqnn.spaces": [*SPACES, *FINE[3:]],
        }
        lines = [
            line
            for group, members in names.items()
            for line in (f"[{group}]", *(f"{name} = {places[name]}" for name in members))
        ]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        _forget()
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(MODULE, None)
        _forget()


def named(kind: str, name: str) -> str:
    return f"{kind} plug-in '{name}' of odd 1.0 "


COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "a dry run": ("start", "digits", "--run", "mine", "--dry-run"),
    "start": ("start", "digits", "--run", "mine"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("name", "says"), SEARCHERS.items(), ids=SEARCHERS)
def test_a_broken_searcher_is_refused_at_the_start(
    command: tuple[str, ...], name: str, says: str, cli: Cli, tmp_path: Path
) -> None:
    refusal = cli(*command, "--store", str(tmp_path / "runs"), "--set", f"search.method={name}").refused()
    assert named("searchers", name) + says in refusal
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("name", "says"), SPACES.items(), ids=SPACES)
def test_a_broken_space_is_refused_at_the_start(
    command: tuple[str, ...], name: str, says: str, cli: Cli, tmp_path: Path
) -> None:
    refusal = cli(*command, "--store", str(tmp_path / "runs"), "--set", f"space.family={name}").refused()
    assert named("spaces", name) + says in refusal
    assert not (tmp_path / "runs").exists()


READERS: Final[dict[str, tuple[str, ...]]] = {
    "describe": ("describe", "a-b-a", "--space", "digits"),
    "space": ("space", "digits", "--after", "a-b"),
}


@pytest.mark.parametrize("command", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", ["number", "spacemiddle", "spacestart", "spacenothing", "spacetext", "spaceunmade"])
def test_a_broken_space_is_named_by_whoever_reads_it(command: tuple[str, ...], name: str, cli: Cli) -> None:
    assert named("spaces", name) in cli(*command, "--set", f"space.family={name}").refused()


def test_a_space_that_describes_nothing_is_named_by_describe(cli: Cli) -> None:
    refusal = cli(*READERS["describe"], "--set", "space.family=spaceparts").refused()
    assert named("spaces", "spaceparts") + "failed while answering describe: TypeError: describe returned 7" in refusal


def test_the_list_says_which_cannot_be_used(cli: Cli) -> None:
    found: list[dict[str, Any]] = cli("config", "plugins", "-o", "json").json()
    troubles = {(one["kind"], one["name"]): one["trouble"] for one in found if one["distribution"] == "odd 1.0"}
    at_work = ("unsureoptions", "unmade", "raises", "leaves", "text", "nothing", "foreign", "recipe", "heir")
    for name, says in SEARCHERS.items():
        assert (
            troubles["searcher", name].endswith("" if name in at_work else says) or says in troubles["searcher", name]
        )
        assert bool(troubles["searcher", name]) is (name not in at_work)
    for name in ("number", "spaceabstract"):
        assert SPACES[name] in troubles["space", name]
    assert not any(troubles["searcher" if name in FINE[:3] else "space", name] for name in FINE)


@pytest.mark.parametrize(("key", "name"), [("search.method", "raises"), ("space.family", "spacemiddle")])
def test_doctor_asks_them(key: str, name: str, cli: Cli, tmp_path: Path) -> None:
    where = ("--store", str(tmp_path / "store"), "--launcher", "table")
    found = cli("doctor", "digits", *where, "--set", f"{key}={name}")
    assert found.code == 1
    assert "✗ plug-ins: searcher and space answer: " in found.out
    assert f"'{name}' of odd 1.0 failed" in found.out


RUN_READERS: Final[dict[str, tuple[str, ...]]] = {
    "status": ("status", "RUN"),
    "status -o json": ("status", "RUN", "-o", "json"),
    "trials": ("trials", "RUN"),
    "runs list": ("runs", "list"),
    "runs show": ("runs", "show", "RUN"),
    "explain": ("explain", "RUN"),
    "explain --after": ("explain", "RUN", "--after", "[C(64,3,1)]"),
    "enqueue": ("enqueue", "RUN", "[C(64,3,1), SM(10)]"),
    "report": ("report", "RUN", "--to", "REPORT"),
    "pull": ("pull", "RUN", "--to", "PULLED"),
    "gc": ("gc", "RUN"),
}
NEEDS_THE_SPACE: Final = ("explain", "explain --after", "enqueue", "report", "pull")


@pytest.fixture
def turned(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A run whose space worked as long as the run did, and the address of its store."""
    store, wrong = DirectoryStore(tmp_path / "runs"), sys.modules[MODULE].TURNED
    session = Session(store, settings(space={"family": "spaceturning"}, search={"method": "random"}))
    session.open()
    session.search(ScriptedLauncher(store, parallel=1))
    wrong.append(True)
    yield session.record.run, str(tmp_path / "runs")
    wrong.clear()


@pytest.mark.parametrize("reader", RUN_READERS)
def test_a_run_whose_space_fails_later_is_read_as_far_as_it_can_be(
    reader: str, turned: tuple[str, str], cli: Cli, tmp_path: Path
) -> None:
    run, uri = turned
    places = {"RUN": run, "REPORT": str(tmp_path / "report")}
    command = [places.get(word, word.replace("PULLED", str(tmp_path / "pulled"))) for word in RUN_READERS[reader]]
    done = cli(*command, "--store", uri)
    assert "Traceback" not in done.err
    if done.code:
        assert reader in NEEDS_THE_SPACE, (done.code, done.err)
        assert done.code == 2
        assert named("spaces", "spaceturning") + "failed" in done.err


def test_a_run_whose_searcher_cannot_explain_is_none_the_worse(cli: Cli, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "runs")
    session = Session(store, settings(search={"method": "mute"}))
    session.open()
    session.search(ScriptedLauncher(store, parallel=1))
    run, where = session.record.run, ("--store", str(tmp_path / "runs"))
    assert cli("status", run, *where).code == 0
    assert cli("trials", run, *where).code == 0
    refusal = cli("explain", run, *where).refused()
    assert named("searchers", "mute") + "failed while explaining: ValueError: no comment" in refusal
