"""Replay databases as forks of the authors' program write them: other columns, another order, other times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from metaqnn_orch.errors import BadInput
from metaqnn_orch.replay.database import Replay, read_replay
from metaqnn_orch.replay.format import COLUMNS
from metaqnn_orch.replay.moments import UNKNOWN
from metaqnn_orch.settings.values import parse_settings
from tests.control.test_replay_import import FIRST, SVHN, THIRD

CASES = Path(__file__).parents[3] / "shared" / "cases" / "replay"
needs_the_cases = pytest.mark.skipif(not CASES.exists(), reason="the files that forks wrote are not here")
SMALL = parse_settings(
    {
        "dataset": {"name": "svhn"},
        "space": {"image_size": 32, "channels": 3, "classes": 10, "convolution": {"filters": [16, 32]}},
    }
)
PLAIN = f'net,accuracy_best_val\n"{FIRST}",0.5\n"{THIRD}",0.25\n'


def read(text: str) -> Replay:
    return read_replay(text.encode(), "theirs.csv", SVHN)


def told(replay: Replay) -> list[tuple[str, float]]:
    return [(shown.net, shown.accuracy) for shown in replay.presentations]


@needs_the_cases
def test_a_fork_without_numbers_of_updates() -> None:
    replay = read_replay((CASES / "fork-short.csv").read_bytes(), "fork-short.csv", SMALL)
    assert replay.refusals.count == 0
    assert [(shown.net, shown.accuracy, shown.update, shown.epsilon) for shown in replay.presentations] == [
        ("[C(16,3,1), SM(10)]", 0.91, 1, 1),
        ("[C(32,3,1), P(2,2), SM(10)]", 0.93, 2, 1),
    ]
    assert replay.notes == [
        "fork-short.csv lacks iter_best_val, iter_last_val, accuracy_best_test, accuracy_last_test, "
        "ix_q_value_update, time_finished, machine_run_on: its rows are taken to be in the order in which the agent "
        "learned, and the rest is taken to be unknown",
        "not used of fork-short.csv: train_flag",
    ]


@needs_the_cases
def test_a_fork_with_dates() -> None:
    replay = read_replay((CASES / "fork-datetime.csv").read_bytes(), "fork-datetime.csv", SMALL)
    assert (replay.refusals.count, replay.notes) == (0, [])
    assert [shown.finished for shown in replay.presentations] == [
        datetime(2019, 5, 3, 11, 22, 10, tzinfo=UTC),
        datetime(2016, 11, 24, 15, 6, 40, 100_000, tzinfo=UTC),
    ]
    assert {shown.net for shown in replay.presentations} == {"[C(16,3,1), SM(10)]"}


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\N{ZERO WIDTH NO-BREAK SPACE}" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        f'accuracy_best_val,net\n0.5,"{FIRST}"\n0.25,"{THIRD}"\n',
        f',net,note,accuracy_best_val\n0,"{FIRST}",,0.5\n1,"{THIRD}","a, b",2.5e-1\n',  # as pandas writes an index
        f"net;accuracy_best_val\n{FIRST};0.5\n{THIRD};0.25\n",
        f"net\taccuracy_best_val\n{FIRST}\t0.5\n{THIRD}\t0.25\n",
        f'net;accuracy_best_val\n"{FIRST}";0.5\n"{THIRD}";0.25\n',
        f'accuracy_best_val,net,ix_q_value_update\n0.25,"{THIRD}",20\n0.5,"{FIRST}",3\n',
        f'net,accuracy_best_val,ix_q_value_update\n"{FIRST}",0.5,-1\n"{THIRD}",0.25,-1\n',
    ],
    ids=["plain", "mark", "crlf", "order", "index", "semicolons", "tabs", "quoted", "updates", "no updates"],
)
def test_the_same_rows_in_every_usual_form(text: str) -> None:
    replay = read(text)
    assert replay.refusals.count == 0, str(replay.refusals)
    assert told(replay) == [(FIRST, 0.5), (THIRD, 0.25)]
    assert {(shown.epsilon, shown.finished, shown.machine, shown.learned) for shown in replay.presentations} == {
        (None, UNKNOWN, "", True)
    }


@pytest.mark.parametrize("nothing", ["", " ", "-1", "-1.0"])
def test_an_empty_cell_and_the_authors_unknown_say_nothing(nothing: str) -> None:
    cells = [nothing if name not in ("net", "accuracy_best_val", "ix_q_value_update") else "" for name in COLUMNS]
    cells[0], cells[1], cells[COLUMNS.index("ix_q_value_update")] = f'"{FIRST}"', "0.1", "7"
    replay = read(",".join(COLUMNS) + "\n" + ",".join(cells) + "\n")
    assert (replay.refusals.count, replay.notes) == (0, [])
    [shown] = replay.presentations
    assert (shown.epsilon, shown.finished, shown.learned) == (None, UNKNOWN, True)
    assert (shown.accuracy, shown.update) == (0.1, 7), "at chance, but nobody says that it never learned"


def test_only_the_columns_without_which_nothing_can_be_assumed_are_needed() -> None:
    with pytest.raises(
        BadInput, match="must have the columns net and accuracy_best_val, each once; it is: epsilon"
    ) as c:
        read("epsilon\n1\n")
    assert c.value.hint == "the other columns may be left out, ix_q_value_update where the rows are in order"
    with pytest.raises(BadInput, match="must have the columns accuracy_best_val, each once; it is: net, accuracy"):
        read(PLAIN.replace("_best_val", ""))


@pytest.mark.parametrize("column", ["net", "accuracy_best_val", "ix_q_value_update", "epsilon"])
def test_a_column_that_is_used_is_there_once(column: str) -> None:
    with pytest.raises(BadInput, match=f"must have the columns {column}, each once"):
        read(f'net,accuracy_best_val,ix_q_value_update,epsilon,{column}\n"{FIRST}",0.5,1,1,1\n')


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (COLUMNS, []),
        (
            [name for name in COLUMNS if name != "ix_q_value_update"],
            ["theirs.csv lacks ix_q_value_update: its rows are taken to be in the order in which the agent learned"],
        ),
        (
            [name for name in COLUMNS if not name.endswith("_test")],
            ["theirs.csv lacks accuracy_best_test, accuracy_last_test: these are taken to be unknown"],
        ),
        ([*COLUMNS, "reward", "seed\x1b"], ["not used of theirs.csv: reward, seed"]),
    ],
)
def test_what_is_assumed_and_what_is_not_used_is_said(columns: list[str], says: list[str]) -> None:
    cells = {"net": f'"{FIRST}"', "accuracy_best_val": "0.5"}
    assert read(",".join(columns) + "\n" + ",".join(cells.get(name, "1") for name in columns) + "\n").notes == says


def test_hints_where_no_row_can_be_used() -> None:
    with pytest.raises(BadInput) as percentages:
        read(PLAIN.replace("0.5", "50").replace("0.25", "25.0"))
    assert percentages.value.hint.endswith("\naccuracy_best_val is a fraction: divide percentages by 100")
    with pytest.raises(BadInput) as elsewhere:
        read(PLAIN.replace("C(64,", "C(16,").replace("C(128,", "C(16,"))
    assert elsewhere.value.hint.count("\n") == 3, "two reasons, and the same advice about both"
    assert "metaqnn-orch space PRESET_OR_FILE says what a space allows" in elsewhere.value.hint
    with pytest.raises(BadInput) as dates:
        read(f'net,accuracy_best_val,time_finished\n"{FIRST}",0.5,05/03/2019\n')
    assert dates.value.hint.endswith("\nthe column time_finished may be left out")
    with pytest.raises(BadInput) as unquoted:
        read(PLAIN.replace('"', ""))
    assert "a net must be in quotation marks" in unquoted.value.hint
    with pytest.raises(BadInput) as commas:
        read(f"net;accuracy_best_val\n{FIRST};0,5\n")
    assert "accuracy_best_val is '0,5', which is not a number" in commas.value.hint
