"""A report's files, and the page as a browser shows it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.figures import ACCURACY, best_so_far, histograms, learning, scale_of
from metaqnn_orch.reporting.history import EndedTrial, read_best, read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.render import svg
from metaqnn_orch.reporting.report import Report, compose
from metaqnn_orch.reporting.summary import leaderboard, read_run
from metaqnn_orch.reporting.vega import counted, spec
from metaqnn_trainer.store.directory import DirectoryStore
from tests.reporting.browser import after, chromium, needs_chromium
from tests.reporting.runs import POISON, at, write_run

pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")

FIGURES = {
    "best-so-far",
    "figure-3-learning",
    "figure-a2-histograms",
    "figure-a3-q-by-layer-type",
    "figure-a4-q-by-receptive-field",
    "accuracy-and-size",
    "timeline",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def report(place: Path) -> Report:
    store = DirectoryStore(place / "store")
    view = write_run(store)
    made = compose(view, read_history(store, view), read_best(store, view), top=3, price=2.0)
    (place / "index.html").write_bytes(made.files["index.html"])
    return made


@pytest.fixture
def page(report: Report, place: Path) -> Path:
    return place / "index.html"


def test_a_report_is_a_page_settings_and_each_figure_three_times(report: Report) -> None:
    drawn = FIGURES | {"net-01", "net-02", "net-03"}
    pictures = {f"{name}.{form}" for name in drawn for form in ("svg", "png")}
    assert set(report.files) == pictures | {"index.html", "settings.yaml"}
    assert set(report.tables) == {f"{name}.csv" for name in FIGURES | {"trials", "outcomes"}}
    assert all(report.tables.values())
    for name in pictures:
        head = report.files[name][:4]
        assert head == (b"\x89PNG" if name.endswith("png") else b"<svg")
        assert b"var(--" not in report.files[name]
        assert name.endswith("png") or LIGHT.page.encode() in report.files[name]


def test_the_page_asks_nobody_for_anything(report: Report) -> None:
    text = report.files["index.html"].decode()
    assert not re.search(r"""(src|href|action|data)\s*=\s*["'](?!#)""", text.replace("xlink:href", "href"))
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|<link|<iframe|<object|<base", text)
    assert "default-src 'none'" in text


def test_foreign_text_stays_text(report: Report) -> None:
    text = report.files["index.html"].decode()
    assert POISON not in text
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "&lt;/script&gt;&lt;script&gt;document.title" in text


def test_no_two_drawings_share_a_name_in_the_page(report: Report) -> None:
    names = re.findall(r'\bid="([^"]+)"', report.files["index.html"].decode())
    assert len(names) == len(set(names))


def test_every_mark_says_what_it_stands_for(report: Report) -> None:
    text = report.files["index.html"].decode()
    assert "epsilon 1.0: 12 nets, mean" in text
    assert f"<td>{at(20)}</td><td>{at(40)}</td>" in text, "since when attempts were lost, and the last one"
    assert "crashed" in text
    assert "multiply-accumulates" in text
    assert text.count("with 1,") >= 24  # parameters in the scatter


def test_each_net_shows_its_learning_curve_or_why_there_is_none(report: Report, place: Path) -> None:
    text = report.files["index.html"].decode()
    best, *_ = leaderboard(read_run(DirectoryStore(place / "store"), "test").state, 1)
    assert text.count('<svg class="chart"') == 3, "one for each of the best"
    assert f'aria-label="epoch 1: {best.curve[0]:.4f}"' in text
    board, full = text.partition("<details>")[::2]
    assert board.count('<td class="n curve" tabindex="0" data-value="3"><svg class="spark"') == 3
    assert full.count('<td class="n curve" data-value="3"><svg class="spark"') == 22, "of every net that learned"
    assert full.count('data-value="0">-</td>') == 2
    assert "No learning curve" not in text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"attempt": 0}, "it was imported"),
        ({"state": "too_large"}, "it did not fit the device"),
        ({}, "the store has no history of it"),
    ],
)
def test_a_net_without_a_curve_says_why(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    store = DirectoryStore(tmp_path)
    view = write_run(store, 8)
    for trial in view.state.trials.values():
        trial.curve.clear()
        for name, value in change.items():
            setattr(trial, name, value)
    text = compose(view, read_history(store, view), None, top=1).files["index.html"].decode()
    assert f"No learning curve: {why}." in text
    assert '<svg class="chart"' not in text
    assert ">curve<" not in text, "no empty drawing, no empty column"


def test_what_the_tables_hold(report: Report) -> None:
    assert len(report.tables["figure-3-learning.csv"]) == 24
    assert len(report.tables["timeline.csv"]) == 24 + 4
    assert len(report.tables["trials.csv"]) == 26
    lanes = {row["lane"] for row in report.tables["timeline.csv"]}
    assert lanes == {0, 1, 2}
    bars = report.tables["figure-a2-histograms.csv"]
    assert sum(row["nets"] for row in bars) == 24


def test_a_quantity_has_one_axis() -> None:
    ended = [
        EndedTrial(Trial(f"{number:012x}", "[SM(10)]", 1.0, "completed", reward), reward, None, True)
        for number, reward in enumerate((0.31, 0.77, 0.64))
    ]
    scale = scale_of(ended, ACCURACY)
    assert (scale.low, scale.high) == (0.3, 0.8)
    assert scale_of(ended[:1], ACCURACY).domain == {"domain": [0.3, 0.4]}
    assert scale_of([ended[0]._replace(reward=1.0)], ACCURACY).domain == {"domain": [0.9, 1.0]}
    for made in (best_so_far, learning, histograms):
        assert str(scale.domain["domain"]) in str(made(ended, scale, LIGHT).spec), made.__name__


def test_nets_without_an_epsilon_are_called_what_they_are() -> None:
    def ended(epsilon: float | None, origin: str = "") -> EndedTrial:
        return EndedTrial(Trial("0" * 12, "[SM(10)]", epsilon, "completed", 0.5, origin=origin), 0.5, None, True)

    def said(*some: EndedTrial) -> list[str]:
        scale = scale_of(some, ACCURACY)
        return [str(made(some, scale, LIGHT).spec) for made in (learning, histograms)]

    mixed = said(ended(1.0), ended(None, "by hand"), ended(0.1))
    assert all("'entered by hand: 1 net" in text and "all nets" not in text for text in mixed)
    assert "'sort': ['1.0', '0.1', 'by hand']" in mixed[1], "the rows of the histograms are in the schedule's order"
    imported, alone = said(ended(1.0), ended(None)), said(ended(None), ended(None, "by hand"))
    assert all("'without an epsilon: 1 net" in text for text in imported)
    assert all("'all nets: 2 nets" in text for text in alone), "the searcher has no epsilon"


def test_a_run_of_one_net_and_no_time(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    view = write_run(store, 1)
    history = read_history(store, view)
    history = replace(history, trained=[item._replace(at=None) for item in history.trained], troubles=[])
    made = compose(view, history, None)
    assert "timeline.png" not in made.files
    assert "figure-3-learning.png" in made.files


@needs_chromium
def test_no_script_but_the_pages_own_runs(page: Path) -> None:
    assert "<title>test · MetaQNN</title>" in chromium(page, "--dump-dom")


@needs_chromium
def test_tables_sort_by_numbers_and_by_text(page: Path, place: Path) -> None:
    view = read_run(DirectoryStore(place / "store"), "test")
    sizes = [trial.params for trial in leaderboard(view.state, 3)]
    column = "[...document.querySelectorAll('table tbody tr')].slice(0, 3).map(row => row.cells[{}].dataset.value)"
    assert any(trial.curve for trial in leaderboard(view.state, 3)), "so there is a column of curves"
    click = "document.querySelectorAll('table th button')[3].click();"
    assert after(page, f"return {column.format(3)}") == ",".join(map(str, sizes))
    largest_first = sorted((size or 0 for size in sizes), reverse=True)
    assert after(page, f"{click} return {column.format(3)}") == ",".join(map(str, largest_first))
    assert after(page, f"{click} {click} return {column.format(3)}") == ",".join(map(str, reversed(largest_first)))


@needs_chromium
def test_pointing_at_a_mark_shows_its_value(page: Path) -> None:
    program = """
        const mark = document.querySelector("svg path[aria-label^='epsilon 1.0']");
        mark.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: 50, clientY: 50}));
        const tip = document.getElementById("tip");
        return `${tip.hidden} ${tip.textContent}`;
    """
    assert after(page, program).startswith("false epsilon 1.0: 12 nets")


@needs_chromium
def test_a_small_curve_is_shown_larger_when_one_points_at_it_or_comes_by_key(page: Path) -> None:
    program = """
        const tip = document.getElementById("tip");
        const cells = document.querySelectorAll("td.curve");
        cells[0].dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: 50, clientY: 50}));
        const pointed = [tip.hidden, tip.querySelectorAll("svg").length, tip.textContent];
        document.body.dispatchEvent(new PointerEvent("pointermove", {bubbles: true}));
        const away = tip.hidden;
        cells[1].focus();  // a window without the focus sends no event of it
        const reached = document.activeElement === cells[1];
        cells[1].dispatchEvent(new FocusEvent("focusin", {bubbles: true}));
        return [...pointed, away, reached, tip.hidden, tip.querySelectorAll("svg").length].join("|");
    """
    shown = after(page, program).split("|")
    assert (shown[:2], shown[3:]) == (["false", "1"], ["true", "true", "false", "1"])
    assert shown[2].startswith("3 epochs: ")


@needs_chromium
def test_light_dark_and_narrow(page: Path, tmp_path: Path) -> None:
    def brightness(name: str, width: int, *options: str) -> float:
        picture = tmp_path / f"{name}.png"
        chromium(page, f"--screenshot={picture}", f"--window-size={width},1400", *options)
        with Image.open(picture) as image:
            assert image.size == (width, 1400)
            lowest, highest = image.convert("L").getextrema()
            assert isinstance(lowest, int)
            assert highest - lowest > 100  # ink on paper
            return ImageStat.Stat(image.convert("L")).mean[0]

    assert brightness("light", 1000) > 200
    assert brightness("dark", 1000, "--blink-settings=preferredColorScheme=0") < 70
    assert brightness("phone", 500) > 200
    brightness("broad", 1900)
    columns = "return getComputedStyle(document.querySelector('.columns')).display"
    assert after(page, columns, "--window-size=1900,1000") == "grid"
    assert after(page, columns, "--window-size=500,1000") == "block"
    wide = "return [...document.querySelectorAll('body > *')].filter(e => e.getBoundingClientRect().right > innerWidth)"
    assert after(page, f"{wide}.length") == "0"


@needs_chromium
def test_the_page_prints(page: Path, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    chromium(page, "--no-pdf-header-footer", f"--print-to-pdf={paper}", "--blink-settings=preferredColorScheme=0")
    assert paper.read_bytes()[:5] == b"%PDF-"


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 12, 30])
@pytest.mark.parametrize("scaled", [False, True])
def test_no_tick_of_a_count_is_there_twice(scaled: bool, most: int) -> None:
    x = counted("count", "nets", most, scale={"domain": [0, most], "nice": False} if scaled else None)
    values = [{"count": count} for count in range(1, most + 1)]
    drawn = svg(spec(LIGHT, height=50, data={"values": values}, mark="point", encoding={"x": x}))
    ticks = re.findall(r"<text[^>]*>(\d+)</text>", drawn)
    assert len(ticks) == len(set(ticks)) > 1
    assert ticks[0] == "0"
