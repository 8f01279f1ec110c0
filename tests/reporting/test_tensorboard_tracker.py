"""TensorBoard's event files, read back record by record."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.reporting.tracking import trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.shown import show

pytest.importorskip("tensorboardX", reason="needs the extra: metaqnn-orch[tensorboard]")


def scalars(folder: Path) -> Iterator[tuple[str, int, float]]:
    from tensorboardX.proto.event_pb2 import Event

    for path in folder.glob("events.out.tfevents.*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    yield value.tag, event.step, value.simple_value


def test_each_trial_is_a_point_however_often_it_is_shown(tmp_path: Path) -> None:
    store, folder = DirectoryStore(tmp_path / "store"), tmp_path / "boards"
    makers = trackers(TrackingSettings(tensorboard=str(folder)))
    for goal in (5, 12):
        Session(store, settings(execution__max_trials=goal), f"to-{goal}").run_to_end()
        show(store, makers)
    found = list(scalars(folder / "test"))
    counts = Counter(name for name, _, _ in found)
    assert set(counts.values()) == {12}
    assert {"accuracy/trial", "accuracy/best", "search/epsilon", "trial/parameters"} <= counts.keys()
    best = [value for name, step, value in sorted(found) if name == "accuracy/best"]
    assert best == sorted(best)
    assert best[-1] == pytest.approx(read_run(store, "test").state.best.val_accuracy)  # type: ignore[union-attr]


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    store, folder = DirectoryStore(tmp_path / "store"), tmp_path / "boards"
    Session(store, settings(execution__max_trials=1)).run_to_end()
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "events.out.tfevents.1.other").write_bytes(b"")
    show(store, trackers(TrackingSettings(tensorboard=str(folder))))
    assert (folder / "test" / "events.out.tfevents.1.other").exists()
