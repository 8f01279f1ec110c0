"""A table: what it says, and what it makes up."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from metaqnn_orch.errors import BadInput
from metaqnn_orch.replay.table import ESTIMATED, LOOKED_UP, Table, read_table
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.spaces.cnn.layer import Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
SHAPE = Shape(1, 8)
KNOWN, UNKNOWN = "[C(16,3,1), SM(10)]", "[C(16,3,1), C(16,3,1), SM(10)]"


def table_of(*lines: str, head: str = "net,accuracy") -> Table:
    return read_table("\n".join([head, *lines]).encode(), "table.csv", SHAPE)


def small() -> Table:
    return table_of(f'"{KNOWN}",0.75', "[SM(10)],0.1")


def test_a_known_net_is_looked_up_and_an_unknown_one_estimated() -> None:
    assert small().answer(parse_net(KNOWN)) == (0.75, LOOKED_UP)
    accuracy, device = small().answer(parse_net(UNKNOWN))
    assert device == ESTIMATED
    assert 0.1 < accuracy < 0.75


def test_dropout_is_no_part_of_a_net() -> None:
    table = table_of('"[C(16,3,1), C(16,3,1), D(1,1), SM(10)]",0.5')
    assert table.answer(parse_net(UNKNOWN)) == (0.5, LOOKED_UP)


def test_of_several_rows_the_last_counts() -> None:
    table = table_of("[SM(10)],0.1", "[SM(10)],0.2")
    assert len(table) == 1
    assert table.answer(parse_net("[SM(10)]")) == (0.2, LOOKED_UP)


def test_other_columns_may_stand_there() -> None:
    table = table_of("7,[SM(10)],x,0.1", head="number,net,note,accuracy")
    assert table.answer(parse_net("[SM(10)]")) == (0.1, LOOKED_UP)


def test_rows_that_cannot_be_are_refused_one_by_one() -> None:
    table = table_of("[SM(10)],0.1", "[SM(10)],86.0", "[P(9,9)],0.5", '"[P(9,9), SM(10)]",0.5', "x,0.5", "[SM(10)]")
    assert len(table) == 1
    assert sorted(reason.partition(":")[0] for reason in table.refusals.reasons) == [f"line {n}" for n in range(3, 8)]


@pytest.mark.parametrize(
    "data", [b"", b"net,accuracy", b"net\n[SM(10)]", b"net,accuracy\nx,y", b"net,accuracy_best_val\n"]
)
def test_a_file_without_a_usable_row_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        read_table(data, "table.csv", SHAPE)


def test_its_digest_is_the_files() -> None:
    data = b"net,accuracy\n[SM(10)],0.1\n"
    assert read_table(data, "a.csv", SHAPE).digest == object_digest(data)


@pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")
def test_the_authors_record_is_a_table() -> None:
    table = read_table(RECORDED.read_bytes(), "theirs.csv", Shape(3, 32))
    assert (len(table), table.refusals.count) == (300, 0)
    with RECORDED.open(newline="") as file:
        for row in csv.DictReader(file):
            assert table.answer(parse_net(row["net"])) == (float(row["accuracy_best_val"]), LOOKED_UP)


def test_without_scipy_the_hint_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "from metaqnn_orch.errors import LauncherError\n"
        "from tests.replay.test_table import KNOWN, UNKNOWN, parse_net, small\n"
        "assert small().answer(parse_net(KNOWN))[0] == 0.75\n"
        "try: small().answer(parse_net(UNKNOWN))\n"
        "except LauncherError as error: print(error.hint)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'metaqnn-orch[table]'\n"
