"""start --dry-run and the budget, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Cli, needs_trainer, settings_file, tree
from tests.control.world import settings


@pytest.fixture
def rehearsal(tmp_path: Path) -> list[object]:
    """The arguments of a rehearsal of twelve nets, one at a time, each of an hour's thousandth."""
    table = tmp_path / "table.csv"
    table.write_text('net,accuracy\n"[SM(10)]",0.5\n"[GAP(10), SM(10)]",0.2\n')
    file = settings_file(tmp_path, settings(dataset__digest=None, execution__poll_seconds=0.01))
    return [
        *("start", file, "--run", "one", "--store", tmp_path / "store", "--launcher", "table", "--table", table),
        *("--parallel", "1", "--table-delay", "0.036"),
    ]


def test_a_bill_creates_nothing(rehearsal: list[object], tmp_path: Path, cli: Cli) -> None:
    before = tree(tmp_path)
    bill = cli(*rehearsal, "--dry-run", "--price-per-gpu-hour", "100", "--gpu-hours", "0.005", "-o", "json").json()
    assert tree(tmp_path) == before
    assert [(phase["epsilon"], phase["nets"]) for phase in bill["phases"]] == [(1.0, 6), (0.3, 6)]
    assert bill["nets"] == 12
    assert bill["gpu_hours"] == pytest.approx(12e-5)
    assert bill["money"] == pytest.approx(12e-3)
    assert bill["nets_within"] == {"gpu_hours": 500}
    assert bill["dearest_tenth"] is None, "nothing is trained"
    assert (bill["seconds_per_trial"], bill["basis"]) == (0.036, "--table-delay: nothing is trained")
    assert bill["creates"] == [f"run one in {tmp_path / 'store'}", "12 results looked up in the table"]


def test_a_bill_for_people(rehearsal: list[object], cli: Cli) -> None:
    answer = cli(
        *(*rehearsal, "--dry-run", "--trial-seconds", "3600", "--price-per-gpu-hour", "2", "--money", "10"),
        *("--set", "budget.currency=EUR", "--target-accuracy", "0.9"),
    )
    assert answer.code == 0
    assert answer.err.endswith("a dry run: nothing was created\n")
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[:4] == [
        ["epsilon", "nets", "GPU-hours", "money", "hours"],
        ["1.00", "6", "6.00", "12.00", "6.00"],
        ["0.30", "6", "6.00", "12.00", "6.00"],
        ["all", "12", "12.00", "24.00", "12.00"],
    ]
    for part in (
        "3,600.0 s for a net: --trial-seconds",
        "2.00 EUR for an hour of a GPU",
        "about 5 of all 12 nets",
        "0.9 validation accuracy",
    ):
        assert part in answer.out


def test_where_nothing_was_trained_nobody_knows(tmp_path: Path, cli: Cli) -> None:
    answer = cli("start", "digits", "--run", "one", "--store", tmp_path / "store", "--dry-run")
    assert answer.code == 0
    assert "unknown: no run in the store has trained nets like these" in answer.out
    assert "--trial-seconds S" in answer.out
    assert f"dataset digits in {tmp_path / 'store'}, made first" in answer.out
    assert "of the multiply-accumulates of 2" in answer.out
    assert "--set space.max_macs=1" in answer.out
    assert tree(tmp_path) == []


@needs_trainer
def test_other_runs_of_the_store_tell(mine: Path, cli: Cli) -> None:
    before = tree(mine)
    same = cli("start", *TINY, "--run", "new", "--store", mine, "--dry-run", "-o", "json").json()
    assert same["basis"] == "run first, 5 nets"
    assert 0 < same["seconds_per_trial"] < 60
    assert 0.1 < same["dearest_tenth"]["share"] < 1
    other = cli("start", *TINY, "--set=recipe.epochs=200", "--run", "new", "--store", mine, "--dry-run", "-o", "json")
    assert "by multiply-accumulates, examples and epochs" in other.json()["basis"]
    assert other.json()["seconds_per_trial"] > 5 * same["seconds_per_trial"]
    own = cli("start", *TINY, "--run", "first", "--store", mine, "--dry-run", "-o", "json").json()
    assert (own["nets"], own["phases"], own["basis"]) == (0, [], "the mean of the last 5 nets of this run")
    assert own["dearest_tenth"] is None, "its space cannot be changed any more"
    assert tree(mine) == before


def test_a_bill_for_a_run_that_asks_for_something_else_is_refused(rehearsal: list[object], cli: Cli) -> None:
    assert cli(*rehearsal, "--max-trials", "2").code == 0
    assert "run 'one' exists, but with other settings" in cli(*rehearsal, "--seed", "1", "--dry-run").err
    left = cli(*rehearsal, "--dry-run", "-o", "json").json()
    assert [phase["nets"] for phase in left["phases"]] == [4, 6]
    assert left["creates"] == ["10 results looked up in the table"]


def test_a_run_ends_at_its_budget_and_goes_on_with_a_larger_one(
    rehearsal: list[object], tmp_path: Path, cli: Cli
) -> None:
    ended = cli(*rehearsal, "--gpu-hours", "5e-5")
    assert ended.code == 0
    assert "stopped: budget.gpu_hours is 5e-05: 5e-05 are used, and another trial would exceed it" in ended.err
    assert ended.err.endswith("; to go on, repeat the command with a larger budget\n")
    status = ["status", "one", "--store", tmp_path / "store"]
    found = cli(*status, "-o", "json").json()
    assert (found["state"], found["unique"]) == ("out_of_budget", 5)
    assert found["ended_because"].startswith("budget.gpu_hours is 5e-05")
    assert "budget.gpu_hours is 5e-05" in cli(*status).out
    before = tree(tmp_path)
    assert cli(*rehearsal, "--gpu-hours", "5e-5").code == 0, "and again: nothing is written"
    assert tree(tmp_path) == before
    whole = cli(*rehearsal, "--gpu-hours", "1", "-o", "json").json()
    assert (whole["state"], whole["unique"], whole["ended_because"]) == ("complete", 12, "")


def test_money_without_a_price_is_refused(rehearsal: list[object], tmp_path: Path, cli: Cli) -> None:
    assert "budget.money needs budget.price_per_gpu_hour" in cli(*rehearsal, "--money", "5").refused()
    assert not (tmp_path / "store").exists()
