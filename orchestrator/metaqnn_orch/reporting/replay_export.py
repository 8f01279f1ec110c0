"""A run in the authors' format: every presentation of a net to the searcher, in order.

Imported rows are written as they were read, but for dates, which become seconds, and for empty cells. In the other
rows, nets have the authors' dropout, and updates are counted from 1, or from the last imported one. Iterations are
computed from the trials' results, as epochs times batches. Trials that a table answered have no iterations and no last
accuracy: -1 stands there, as in the authors' columns of test accuracy, which are always -1 here because a search does
not measure test accuracy. Where the reward is not the validation accuracy, a column `reward` and one for each measure
follow those of the authors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from metaqnn_orch.control.events import Abandoned, Event, Proposed, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.objective import tells_accuracy
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.without_plugins import of_trials, refuse_missing
from metaqnn_orch.errors import ObjectMissing, StoreError, one_line
from metaqnn_orch.replay.database import ORDER, read_replay
from metaqnn_orch.replay.format import COLUMNS, MAX_FILE_BYTES, UNKNOWN, Refusals, is_number, read_rows
from metaqnn_orch.reporting.summary import MEASURE
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.errors import MessageError, UnknownLayer
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY
from metaqnn_trainer.spaces.cnn.dropout import format_with_dropout
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.store.base import Store


def replay_rows(store: Store, record: RunRecord) -> Iterator[dict[str, Any]]:
    """One row for each presentation, by the columns of `replay/format.py`, and perhaps further ones.

    Raises:
        JournalError: the journal is damaged.
        StoreError: the file that the run began with is missing, or is another one.
        PluginsMissing: a net has a layer of a kind that is not installed here.
    """
    settings = record.settings_to_read()
    imported = iter(_imported_rows(store, record, settings))
    count = record.imported.rows if record.imported is not None else 0
    further = not tells_accuracy(settings.task.name, settings.objective)
    written = partial(_authors_net, record) if settings.space.family == DEFAULT_FAMILY else str
    rows: dict[str, dict[str, Any]] = {}
    update = 0.0
    for number, (net, told, epsilon) in enumerate(_presentations(Journal(store, record.run).read())):
        more = _further(told) if further else {}
        # The release that imported the file may have refused rows that this one would take.
        row = next((row | more for name, row in imported if name == net), None) if number < count else None
        if row is not None:
            rows.setdefault(told.trial, row)
            update = max(update, float(row["ix_q_value_update"]))
            yield row
            continue
        if told.trial not in rows:
            rows[told.trial] = _row(store, record, written(net), told) | more
        update += 1
        yield {**rows[told.trial], "ix_q_value_update": update, "epsilon": -1.0 if epsilon is None else epsilon}


def replay_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The authors' columns, and the further columns of these rows."""
    further = {name for row in rows for name in row}.difference(COLUMNS)
    return [*COLUMNS, *sorted(further, key=lambda name: (name != "reward", name))]


def _authors_net(record: RunRecord, net: str) -> str:
    try:
        return format_with_dropout(parse_net(net))
    except UnknownLayer:
        refuse_missing(record.run, of_trials(record.plugins))
        raise


def _further(told: Told) -> dict[str, Any]:
    return {"reward": told.reward, **{MEASURE + name: value for name, value in told.measures.items()}}


def _presentations(events: Iterable[Event]) -> Iterator[tuple[str, Told, float | None]]:
    """Each presentation of a net to the searcher: the net, its result, and the epsilon at which it was sampled."""
    nets: dict[str, str] = {}
    waiting: dict[str, list[float | None]] = {}  # the epsilons at which the nets in flight were sampled
    known: dict[str, Told] = {}
    for event in events:
        match event:
            case Proposed(confirms=str()):
                pass  # the searcher was not told of it
            case Proposed(trial=trial, epsilon=epsilon) if trial in known:
                yield nets[trial], known[trial], epsilon
            case Proposed(trial=trial, epsilon=epsilon):
                nets[trial] = event.net
                waiting.setdefault(trial, []).append(epsilon)
            case Told(trial=trial):
                known[trial] = event
                for epsilon in waiting.pop(trial, ()):
                    yield nets[trial], event, epsilon
            case Abandoned(trial=trial):
                waiting.pop(trial, None)


def _imported_rows(store: Store, record: RunRecord, settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """The rows of the imported file that a searcher can be told, in that order, each with its net."""
    if record.imported is None:
        return []
    key = keys.run_imported(record.run)
    data, file = store.get(key, MAX_FILE_BYTES + 1), record.imported.file
    if hashlib.sha256(data).hexdigest() != record.imported.sha256:
        raise StoreError(f"{store.uri}: {key} is not the file from which the run was imported")
    cells = {row.line: row.cells for row in read_rows(data, file, ("net",), Refusals())}
    absent = {**dict.fromkeys(COLUMNS, str(UNKNOWN)), "time_finished": "0.0", "machine_run_on": "unknown"}
    found = []
    # Of what the import did not check, a cell may hold any text.
    for shown in read_replay(data, file, settings).presentations:
        row = absent | {ORDER: str(shown.update)}
        row |= {name: cell for name, cell in cells[shown.line].items() if cell.strip()}
        if not is_number(row["time_finished"]):
            row["time_finished"] = str(shown.finished.timestamp())
        found.append((shown.net, {name: one_line(row[name], 5_000) for name in COLUMNS}))
    return found


def _row(store: Store, record: RunRecord, net: str, told: Told) -> dict[str, Any]:
    best, last, last_accuracy = _iterations(store, record, told)
    return {
        "net": net,
        "accuracy_best_val": UNKNOWN if told.val_accuracy is None else told.val_accuracy,
        "iter_best_val": best,
        "accuracy_last_val": last_accuracy,
        "iter_last_val": last,
        "accuracy_best_test": UNKNOWN,
        "accuracy_last_test": UNKNOWN,
        "time_finished": _seconds(told.at),
        "machine_run_on": one_line(told.device, 200) or "unknown",
    }


def _iterations(store: Store, record: RunRecord, told: Told) -> tuple[float, float, float]:
    """Number of iterations of the best epoch and of the last epoch, and the accuracy after the last."""
    if told.status in ("untrainable", "too_large"):
        return 0.0, 0.0, UNKNOWN if told.val_accuracy is None else told.val_accuracy
    key = keys.result(record.run, told.trial)
    try:
        result = read(TrainingResult, store.get, key) if told.attempt else None
    except (ObjectMissing, MessageError):
        result = None
    if result is None or result.history is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    batches = -(-record.info.train // record.settings["recipe"]["batch_size"])
    return (
        float(result.best_epoch * batches),
        float(result.epochs * batches),
        UNKNOWN if result.last_val_accuracy is None else result.last_val_accuracy,
    )


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0.0
