"""The pages: those that follow from the code are what it says, links lead somewhere, and all of them are a site."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import typer
from docs.document import PAGES, settings, trainer

from metaqnn_orch.cli.app import COMMANDS, build_app
from tests import built_in

ROOT = Path(__file__).parents[1]
WRITTEN = sorted([*PAGES.glob("*.md"), *ROOT.glob("*.md")])
PACKAGES = [ROOT / "orchestrator" / "metaqnn_orch", ROOT / "trainer_image" / "metaqnn_trainer"]
# Words with which a text begins that leaves out its subject: "Of what did not pass", "That the searcher is told".
FRAGMENT = re.compile(
    r"(of|that|those|whose|whom|from|as|by|in|on|to|under|than|ours|none of|what of|which (?:is|are|was|were|has|had)"
    r"|(?:for|with|at|after|before) (?:which|whom|whose)) ",
    re.IGNORECASE,
)


def words(text: str) -> str:
    """Without blanks: lines are broken at hyphens, too."""
    return "".join(text.split())


def test_every_setting_is_on_its_page() -> None:
    assert (PAGES / "settings.md").read_text() == settings(), "make docs"


def test_every_field_of_the_contract_is_on_its_page() -> None:
    page = (PAGES / "trainer.md").read_text()
    assert page == trainer(), "make docs"
    assert "| `spec_digest` | 64 hexadecimal digits |" in page
    assert "any JSON" not in re.sub(r"names to any JSON, at most 1,000", "", page), "a field whose kind has no words"


def test_every_command_is_on_its_page_with_all_that_it_says() -> None:
    """Not word by word: how a help text is laid out is its library's."""
    page = (PAGES / "commands.md").read_text()
    sections = dict(re.findall(r"^## (.*?)\n\n```text\n(.*?)\n```", page, re.DOTALL | re.MULTILINE))
    assert sections.keys() == COMMANDS.keys(), "make docs"
    app = typer.main.get_command(build_app())
    for name, (function, example) in COMMANDS.items():
        command, section = app, words(sections[name])
        for word in name.split():
            command = command.commands[word]  # type: ignore[attr-defined]
        for parameter in command.params:
            told = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
            for text in (*told, words(getattr(parameter, "help", "") or "")):
                assert text in section, f"make docs: {name} says {text}"
        assert words((function.__doc__ or "").replace("\b", "")) in section, f"make docs: {name}"
        assert words(example) in section


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_a_promise_names_is_there() -> None:
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    named = re.findall(r"\btest_\w+", (PAGES / "reliability.md").read_text())
    assert len(named) > 40
    for name in named:
        assert f"def {name}(" in written or [*(ROOT / "tests").rglob(f"{name}.py")], name


def test_every_searcher_is_on_its_page_with_its_options() -> None:
    page = (PAGES / "search.md").read_text()
    rows = re.findall(r"^\| (?:`([\w-]+)` )?\| (?:`([\w.]+)` )?\| (?:`(.*?)` )?\|", page, re.MULTILINE)
    told: dict[str, dict[str, str]] = {}
    for method, option, default in rows:
        last = told.setdefault(method or [*told][-1], {})
        if option and default:
            last[option] = default
    assert told == {
        name: {f"{kind.section}.{option}": str(default) for option, default in asdict(kind.Options()).items()}
        for name, kind in built_in.METHODS.items()
    }


def test_all_pages_are_a_site(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in PAGES.glob("*.md")}
    assert pages - {"index"} <= {path.name for path in (tmp_path / "site").iterdir()}
    sources = re.findall(r'(?:src|<link[^>]*href)="(https?:[^"]*)"', (tmp_path / "site" / "index.html").read_text())
    assert sources == [], "nothing is fetched from elsewhere"


def test_the_pages_that_walk_through_the_house_name_what_is_there() -> None:
    named = set(re.findall(r"`((?:orchestrator|trainer_image)/[\w./-]+)`", (PAGES / "architecture.md").read_text()))
    assert len(named) > 30
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_room_has_its_line() -> None:
    text = (PAGES / "architecture.md").read_text()
    for package in ("orchestrator/metaqnn_orch", "trainer_image/metaqnn_trainer"):
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} - {"presets", "images"}
        missing = [room for room in sorted(rooms) if f"| `{package}/{room}/` |" not in text]
        assert missing == [], "docs/architecture.md has no line for these"
        readme = (ROOT / "README.md").read_text()
        assert [room for room in sorted(rooms) if f"{room}/" not in readme] == [], "README's map has no place for these"


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Every docstring, and every string that stands as a statement (below a field, for example), with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value.strip()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_docstring_begins_with_what_it_is_about(package: Path) -> None:
    fragments = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted(package.rglob("*.py"))
        for line, text in texts(path.read_text())
        if FRAGMENT.match(text)
    ]
    assert fragments == [], "name the subject first: 'Share of the nets', 'Reward that the searcher is told'"


@pytest.mark.parametrize(
    ("text", "is_fragment"),
    [
        ("Of every net the best of its trainings, by reward.", True),
        ("That the searcher is told.", True),
        ("For which the attempt was seen to run.", True),
        ("Whose certificates are accepted.", True),
        ("In the order of their proposal.", True),
        ("The trials, in the order of their proposal.", False),
        ("Which weights stay in the store.", False),
        ("For each value, the mean of the last ones.", False),
        ("Often called.", False),
    ],
)
def test_a_fragment_is_told_from_a_sentence(text: str, is_fragment: bool) -> None:
    source = f'class Fields:\n    name: str\n    """{text}"""\n'
    assert [bool(FRAGMENT.match(found)) for _, found in texts(source)] == [is_fragment]
