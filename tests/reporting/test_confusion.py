"""The confusion matrix of finals: as a figure, and in the report's page with its words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.reporting.confusion import confusion_figure
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.report import compose
from metaqnn_orch.reporting.vega import Figure
from metaqnn_orch.reporting.verdict import Finals
from metaqnn_trainer.store.directory import DirectoryStore
from tests.reporting.runs import POISON, write_run
from tests.reporting.test_verdict import verdict

PETS: dict[str, Any] = {"class_names": ["cat", "dog", POISON], "confusion": [[6, 0, 0], [3, 1, 0], [0, 0, 0]]}


def figure(**more: Any) -> Figure:
    found = confusion_figure(verdict(**more), LIGHT)
    assert found is not None
    return found


def test_each_cell_says_its_number_and_its_share() -> None:
    found = figure(**PETS)
    assert [(row["class"], row["taken_for"], row["images"], row["share"]) for row in found.rows] == [
        ("cat", "cat", 6, 1.0),
        ("dog", "cat", 3, 0.75),
        ("dog", "dog", 1, 0.25),
    ]
    said = json.dumps(found.spec)
    assert "dog taken for cat: 3 images, 75.0%" in said
    assert "cat recognised: 6 images, 100.0%" in said
    assert found.caption.endswith("Its most frequent mistake: 3 of the 4 images of dog are taken for cat.")
    assert figure(confusion=[[1, 0], [0, 1]]).caption.endswith("It makes no mistake.")
    assert confusion_figure(verdict(), LIGHT) is None, "a verdict of an earlier release"


def test_classes_of_the_same_name_stay_apart() -> None:
    found = figure(class_names=["a", "a"], confusion=[[1, 1], [0, 2]])
    assert {row["class"] for row in found.rows} == {"a (0)", "a (1)"}


def test_the_page_has_the_figure_and_the_same_in_words(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    view = write_run(DirectoryStore(tmp_path), 3)
    history = read_history(DirectoryStore(tmp_path), view)
    made = compose(view, history, None, top=1, finals=Finals("test-finals", verdict(**PETS)))
    assert {"confusion.svg", "confusion.png"} <= set(made.files)
    assert [row["name"] for row in made.tables["classes.csv"]][:2] == ["cat", "dog"]
    text = made.files["index.html"].decode()
    assert POISON not in text
    assert 'aria-label="dog taken for cat: 3 images, 75.0%"' in text
    words = " ".join(re.sub("<[^>]+>", " ", text).split())
    for said in ("as the run test-finals", "test accuracy of the best 0.7000", "dog 4 0.2500 0.2500 cat (3)"):
        assert said in words, said
    without = compose(view, history, None, top=1, finals=Finals("test", verdict())).files["index.html"].decode()
    assert "What was measured of each class was not kept" in without
    assert 'id="finals"' not in compose(view, history, None, top=1).files["index.html"].decode()
