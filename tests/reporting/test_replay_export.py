"""A run in the authors' format, and back: nothing is lost on the way."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.control.holder import this_process
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.replay_import import import_run
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import StoreError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.replay.database import read_replay
from metaqnn_orch.replay.format import COLUMNS
from metaqnn_orch.reporting.replay_export import replay_rows
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import first_rates
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.spaces.cnn.dropout import format_with_dropout
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.store.base import Store
from tests.control.stopping import enabled, history, put_result, trained
from tests.control.test_loop import crash_first
from tests.control.test_replay_import import FIRST, GOOD, SVHN, THIRD, file_of, line
from tests.control.world import Session, accuracy_of, result_for, settings

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"


def export(store: Store, run: str = "test") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(replay_rows(store, load_record(store, run)))
    return text.getvalue().encode()


def rows(data: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def bring_in(store: Store, data: bytes, run: str, wanted: Any = SVHN) -> RunState:
    replay = read_replay(data, "exported.csv", wanted)
    assert replay.refusals.count == 0, str(replay.refusals)
    return import_run(store, run, wanted, replay, this_process(run, "now"), version="0", uid="0" * 32)


@pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")
def test_the_authors_record_comes_out_as_it_went_in(store: Store) -> None:
    recorded, wanted = RECORDED.read_bytes(), load_settings("svhn-code", {}, [], {}).settings
    first = bring_in(store, recorded, "one", wanted)
    exported = export(store, "one")
    assert rows(exported) == rows(recorded)
    again = bring_in(store, exported, "two", wanted)
    assert again.agent.q_table.digest() == first.agent.q_table.digest()
    assert export(store, "two") == exported


def test_rows_out_of_order_come_out_in_the_order_of_their_telling(store: Store) -> None:
    first = bring_in(store, GOOD, "one")
    exported = export(store, "one")
    assert [row["ix_q_value_update"] for row in rows(exported)] == ["1", "2", "3", "4"]
    assert sorted(map(repr, rows(exported))) == sorted(map(repr, rows(GOOD)))
    assert bring_in(store, exported, "two").agent.q_table.digest() == first.agent.q_table.digest()


def test_a_search_comes_back_with_the_same_q_table(store: Store) -> None:
    """With crashes, repeated samplings, and nets sampled again while they train."""
    chosen = settings(space__max_layers=1, schedule__phases=[{"epsilon": 0.2, "unique": 10}])
    session = Session(store, chosen)
    session.run_to_end(crash_first(1), parallel=3)
    exported = export(store)
    assert len(rows(exported)) == session.state.told > session.state.unique
    assert [float(row["ix_q_value_update"]) for row in rows(exported)] == [*range(1, session.state.told + 1)]
    again = bring_in(store, exported, "again", chosen)
    assert again.agent.q_table.digest() == session.state.agent.q_table.digest()
    assert list(again.agent.replay) == list(session.state.agent.replay)
    assert export(store, "again") == exported


def test_a_row_says_what_the_result_says(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        written = history([0.0, 0.0, accuracy_of(request.spec.net), *[0.0] * 4])
        values = {"best_epoch": 3, "epochs": 7, "last_val_accuracy": 0.0, "device": "a GPU\x1b"}
        return put_result(store, request, attempt, written, **values)

    session = Session(store, settings(execution__max_trials=2, recipe__batch_size=3))
    session.run_to_end(behaviour)
    for row, trial in zip(rows(export(store)), session.state.trials.values(), strict=True):
        assert row["net"] == format_with_dropout(parse_net(trial.net))
        assert float(row["accuracy_best_val"]) == trial.val_accuracy
        # Eight training images in batches of three: three iterations an epoch.
        assert (row["iter_best_val"], row["iter_last_val"], row["accuracy_last_val"]) == ("9.0", "21.0", "0.0")
        assert (row["accuracy_best_test"], row["accuracy_last_test"]) == ("-1.0", "-1.0")
        assert row["machine_run_on"].isprintable()


def test_what_was_stopped_early_is_told_again_as_it_was_told(store: Store) -> None:
    session = Session(store, enabled())
    session.run_to_end(trained)
    exported = export(store)
    told = dict(zip(session.state.by_net, rows(exported), strict=False))
    (row, trial), *_ = (
        (told[net], trial) for net, trial in session.state.by_net.items() if trial.state == "stopped_early"
    )
    assert float(row["accuracy_best_val"]) == trial.predicted
    assert (row["iter_best_val"], row["iter_last_val"]) == ("2.0", "2.0"), "two epochs of one batch"
    again = bring_in(store, exported, "again", enabled())
    assert again.agent.q_table.digest() == session.state.agent.q_table.digest()
    assert again.best is not None
    assert session.state.best is not None
    assert again.best.net == session.state.best.net


def test_what_never_learned_is_at_iteration_0(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        tried: dict[str, Any] = {"epochs": 1, "learning_rates": first_rates(request.spec.recipe)}
        result = result_for(request, attempt, status="untrainable", val_accuracy=0.1, best_epoch=0, **tried)
        store.put(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    Session(store, settings(execution__max_trials=1)).run_to_end(behaviour)
    (row,) = rows(export(store))
    assert (row["accuracy_best_val"], row["iter_best_val"], row["iter_last_val"]) == ("0.1", "0.0", "0.0")
    (trial,) = bring_in(store, export(store), "again", settings()).trials.values()
    assert trial.state == "untrainable"


def test_cells_that_telling_does_not_need_are_kept_but_for_what_a_terminal_obeys(store: Store) -> None:
    data = file_of(
        [
            line(FIRST, "0.5", "1", accuracy_last_val="0.4999", machine_run_on="a\x1b[2Jb"),
            line(THIRD, "0.50", "2.5", accuracy_best_test="?"),
        ]
    )
    bring_in(store, data, "one")
    first, second = rows(export(store, "one"))
    assert (first["accuracy_last_val"], first["machine_run_on"], first["accuracy_best_val"]) == ("0.4999", "ab", "0.5")
    assert (second["accuracy_best_test"], second["ix_q_value_update"], second["accuracy_best_val"]) == (
        "?",
        "2.5",
        "0.50",
    )


def test_what_a_fork_wrote_comes_out_in_the_authors_columns(store: Store) -> None:
    """Times are seconds, what the fork left out is -1, and what only the fork has is left out."""
    data = (
        "accuracy_last_val,time_finished,accuracy_best_val,train_flag,net,epsilon\n"
        f'0.40,2019-05-03 11:22:10,0.50,True,"{FIRST}",\n'
        f',1556882530,0.1,True,"{THIRD}",0.9\n0.40,,0.50,True,"{FIRST}",-1\n'
    ).encode()
    first = bring_in(store, data, "one")
    absent = {**dict.fromkeys(COLUMNS, "-1.0"), "machine_run_on": "unknown"}
    once = {"net": FIRST, "accuracy_best_val": "0.50", "accuracy_last_val": "0.40"}
    assert rows(exported := export(store, "one")) == [
        {**absent, **once, "ix_q_value_update": "1.0", "time_finished": "1556882530.0"},
        absent
        | {"net": THIRD, "accuracy_best_val": "0.1", "epsilon": "0.9"}
        | {"ix_q_value_update": "2.0", "time_finished": "1556882530"},
        {**absent, **once, "ix_q_value_update": "3.0", "time_finished": "0.0", "epsilon": "-1"},
    ]
    assert bring_in(store, exported, "two").beliefs() == first.beliefs()
    assert export(store, "two") == exported


def test_a_file_of_which_an_older_release_took_less_comes_out_as_it_was_taken(store: Store) -> None:
    """It refused times that are no numbers."""
    data = file_of([line(FIRST, 0.5, 1), line(THIRD, 0.25, 2, time_finished="2019-05-03"), line(FIRST, 0.5, 3)])
    replay = read_replay(data, "old.csv", SVHN)
    (older := [*replay.presentations]).pop(1)
    import_run(
        store, "one", SVHN, replay._replace(presentations=older), this_process("one", "now"), version="0", uid="0" * 32
    )
    assert [(row["net"], row["ix_q_value_update"]) for row in rows(export(store, "one"))] == [
        (FIRST, "1"),
        (FIRST, "3"),
    ]


def test_a_file_that_is_not_the_one_that_was_imported_is_not_passed_on(store: Store) -> None:
    bring_in(store, GOOD, "one")
    store.put(keys.run_imported("one"), GOOD + b"\n")
    with pytest.raises(StoreError, match="is not the file from which the run was imported"):
        export(store, "one")


def test_a_run_that_has_not_begun_has_no_rows(store: Store) -> None:
    Session(store, settings()).open()
    assert rows(export(store)) == []
