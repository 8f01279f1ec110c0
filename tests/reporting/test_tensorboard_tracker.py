"""TensorBoard's event files, read back record by record."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaqnn_orch.application.run_files import RunFiles
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.reporting.tracking import show_run, trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.finished_run import RUN, copied
from tests.reporting.shown import NO_TRAINER, show

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


def test_each_trial_has_a_folder_with_its_epochs_as_tensorboard_reads_them(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    store, view = copied(tmp_path / "store")
    files, folder = RunFiles(store, view, pytest.fail, NO_TRAINER), tmp_path / "boards"
    cut_off = folder / RUN / "trials" / f".{next(iter(view.state.trials))}"
    cut_off.mkdir(parents=True)
    (cut_off / "events.out.tfevents.1.a.metaqnn").write_bytes(b"cut off")

    def read(name: str) -> dict[str, list[tuple[int, float]]]:
        found = reading.EventAccumulator(str(folder / RUN / name)).Reload()
        return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}

    for _ in range(2):  # the second time nothing comes twice
        assert show_run(store, view, trackers(TrackingSettings(tensorboard=str(folder))), files) == 8
        assert len(read("")["reward/best"]) == 8
        assert {path.name for path in (folder / RUN / "trials").iterdir()} == view.state.trials.keys()
        for trial in view.state.trials:
            rewards = [(step, record.reward) for step, record in enumerate(files.epochs(trial), 1)]
            shown = read(f"trials/{trial}")
            assert [step for step, _ in shown["epoch/reward"]] == [step for step, _ in rewards]
            assert [value for _, value in shown["epoch/reward"]] == pytest.approx([value for _, value in rewards])
            assert {"epoch/train_loss", "epoch/learning_rate"} <= shown.keys()
