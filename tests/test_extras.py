"""The extras: the programs' table says what pyproject.toml says, and the pages need no more than `make quickstart`
installs.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from metaqnn_orch.errors import BadInput
from metaqnn_orch.needs import need
from metaqnn_trainer.extras import EXTRAS, lack, missing

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=;\[ ]", text)[0].lower() for text in requirements}


def test_the_table_is_that_of_the_distribution() -> None:
    assert {name: set(extra.modules) for name, extra in EXTRAS.items()} == {
        name: names(requirements) for name, requirements in DECLARED.items() if name != "all"
    }


def test_one_extra_has_them_all_and_the_quickstart_installs_it() -> None:
    (everything,) = DECLARED["all"]
    assert set(everything.partition("[")[2].rstrip("]").split(",")) == {*EXTRAS}
    assert '-e ".[all]"\n\t@touch $@\n' in (ROOT / "Makefile").read_text()


def test_every_extra_that_a_page_names_exists() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"metaqnn-orch\[([\w,-]+)\]", page.read_text())}
    assert named <= {*EXTRAS, "all"}


def test_what_is_missing_is_said_with_the_command_that_installs_it() -> None:
    def find(module: str) -> object:
        return None if module.startswith("onnx") else module

    assert missing("export", find) == ["onnx", "onnxruntime", "onnxscript"]
    assert lack("export", find) == "onnx, onnxruntime and onnxscript, which are not installed"
    assert lack("report", find) == ""
    with pytest.raises(BadInput, match="an ONNX file needs onnx, onnxruntime and onnxscript") as refused:
        need("export", "an ONNX file", find)
    assert refused.value.hint == "pip install 'metaqnn-orch[export]'"
    need("report", "a report", find)
