"""What every task has to do, whatever it learns. A test of a task is a class that inherits from Behaviour and says how
to ask for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import DatasetRef, PluginRef, TrainerOptions, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, ExitCode, TrainingResult
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.sources.base import Examples
from metaqnn_trainer.sources.make import encode_examples
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import Load, measures_of, task_of
from metaqnn_trainer.training.outcome import Subject, Training
from metaqnn_trainer.training.session import train
from metaqnn_trainer.trial import Trainer
from tests import forked

ROOT = Path(__file__).parents[2]
RUN = "a-run"
LIMIT = 1000.0
NEVER = TrainerOptions(checkpoint_seconds=3600)


class Behaviour:
    """Every test has a store of its own. Trainings are short: a few steps an epoch, two epochs."""

    classes: ClassVar[int | None] = None
    """Classes of the dataset, if the task classifies images."""
    pictures: ClassVar[set[str]] = set()
    tasks: Load = staticmethod(TASKS.load)
    spaces: Load = staticmethod(SPACES.load)

    def put_dataset(self, store: DirectoryStore) -> Any:
        """The reference of a dataset that is now in the store."""
        raise NotImplementedError

    def spec(self, dataset: Any, **recipe: Any) -> TrialSpec:
        """A trial that learns, by a recipe of two epochs and some changes."""
        raise NotImplementedError

    hopeless: ClassVar[dict[str, Any]] = {}
    """Changes of the recipe with which nothing is learned."""

    def environment(self, folder: Path) -> dict[str, str]:
        """Environment of a trainer process that has to find the plug-in."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path / "store")

    def ask(self, store: DirectoryStore, spec: TrialSpec, options: TrainerOptions = NEVER) -> str:
        request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec, options=options)
        store.put(keys.request(RUN, request.trial), encode(request))
        return request.trial

    def carry_out(
        self, store: DirectoryStore, trial: str, stop: Callable[[], bool] = lambda: False, attempt: int = 1
    ) -> WorkReport:
        trainer = Trainer(1, stop, opened=lambda uri: store, tasks=self.tasks, spaces=self.spaces)
        return trainer.carry_out(WorkOrder(store=".", run=RUN, trial=trial, attempt=attempt))

    def delivered(self, store: DirectoryStore, spec: TrialSpec) -> TrainingResult:
        report = self.carry_out(store, self.ask(store, spec))
        assert report.exit_code == ExitCode.DELIVERED, report.reason
        return self.result(store, spec)

    def result(self, store: DirectoryStore, spec: TrialSpec) -> TrainingResult:
        """The trial's, which can have come of what was asked."""
        found = decode(TrainingResult, store.get(keys.result(RUN, spec.trial_id())), "result.json")
        check_result(found, spec, self.subject(store, spec).cost, self.classes)
        return found

    def subject(self, store: DirectoryStore, spec: TrialSpec) -> Subject:
        device = torch.device("cpu")
        task = task_of(spec, self.tasks, self.spaces)
        data = task.load(Reader(store), device)
        return Subject(task, data, device, task.cost(data))

    def train(self, store: DirectoryStore, spec: TrialSpec, options: TrainerOptions = NEVER, **more: Any) -> Training:
        return train(self.subject(store, spec), lambda record: None, options, **more)

    def few(self, store: DirectoryStore, validation: int, test: int) -> DatasetRef:
        """The reference of the same dataset with so few examples in two of its parts."""
        ref = self.put_dataset(store)
        found = Reader(store).dataset(ref)
        tensors = {name: tensor.numpy() for name, tensor in found.tensors.items()}
        kept = {"validation_": validation, "test_": test}
        tensors = {
            name: tensor[: next((many for part, many in kept.items() if name.startswith(part)), len(tensor))]
            for name, tensor in tensors.items()
        }
        if "val_indices" in tensors:  # images in classes
            train = len(tensors["train_indices"])
            chosen = np.concatenate([tensors["train_indices"], tensors["val_indices"][:validation]])
            tensors |= {name: tensors[name][chosen] for name in ("train_images", "train_labels")}
            tensors |= {"train_indices": np.arange(train), "val_indices": np.arange(train, train + validation)}
        info = found.info.model_dump(exclude={"name"}) | {"validation": validation, "test": test}
        made = encode_examples("few", Examples(tensors, info))
        store.put(keys.dataset(made.ref.name, made.ref.digest), made.data)
        return made.ref

    @pytest.mark.parametrize(("validation", "test"), [(1, 2), (2, 1), (2, 0)])
    def test_parts_of_few_examples(self, store: DirectoryStore, validation: int, test: int) -> None:
        """They are measured, or refused before anything is trained; what cannot be measured after it is left out."""
        spec = self.spec(self.few(store, validation, test), evaluate_test=True)
        report = self.carry_out(store, self.ask(store, spec))
        if report.exit_code == ExitCode.DATASET:
            assert "for validation" in report.reason
            return
        assert report.exit_code == ExitCode.DELIVERED, report.reason
        result = self.result(store, spec)
        assert test or not result.test_measures
        assert not result.test_measures or set(result.test_measures) == set(result.measures)

    def test_twice_the_same(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store), evaluate_test=True)
        first = self.delivered(store, spec)
        assert first.status == "completed"
        assert first.weights is not None
        assert first.chance is not None
        assert first.reward > first.chance
        assert first.measures
        assert set(first.test_measures) == set(first.measures)
        declared = measures_of(self.tasks(spec.task.name))
        assert not declared or set(declared) == set(first.measures)
        store.delete(keys.result(RUN, spec.trial_id()))
        torch.manual_seed(1)  # what the process did before plays no part
        again = self.delivered(store, spec)
        assert (again.weights, again.reward, again.measures) == (first.weights, first.reward, first.measures)
        other = self.delivered(store, self.spec(self.put_dataset(store), evaluate_test=True, seed=1))
        assert other.weights != first.weights

    def test_interrupted_at_every_step_it_comes_out_the_same(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        whole = self.delivered(store, spec)
        for asked in count(1):
            store.delete(keys.result(RUN, spec.trial_id()))
            report = self.carry_out(store, spec.trial_id(), after(asked))
            if report.exit_code == ExitCode.DELIVERED:
                break
            assert report.exit_code == ExitCode.PREEMPTED
            assert self.carry_out(store, spec.trial_id(), attempt=2).exit_code == ExitCode.DELIVERED
            again = self.result(store, spec)
            assert (again.weights, again.measures, again.status) == (whole.weights, whole.measures, whole.status)
        assert asked > 4

    def test_killed_and_begun_again_it_comes_out_the_same(self, store: DirectoryStore, tmp_path: Path) -> None:
        spec = self.spec(self.put_dataset(store), epochs=24)
        trial = self.ask(store, spec, TrainerOptions(checkpoint_seconds=0))
        command = [*forked.TRAINER, "train", "--store", str(tmp_path / "store"), "--run", RUN]
        with subprocess.Popen(
            [*command, "--trial", trial, "--threads", "1"],
            env=self.environment(tmp_path),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        ) as process:
            checkpoint = tmp_path / "store" / keys.checkpoint(RUN, trial)
            while not checkpoint.exists() and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.communicate()  # until nobody can write to it
        assert process.returncode in (-signal.SIGKILL, 0)
        assert self.carry_out(store, trial, attempt=2).exit_code == ExitCode.DELIVERED
        again = self.result(store, spec)
        if process.returncode:
            assert again.resumed_from is not None
        store.delete(keys.result(RUN, trial))
        assert self.delivered(store, spec).weights == again.weights

    def test_memory_that_runs_out_once(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        training = self.train(store, spec, stop=full(3))
        assert training.status == "completed"
        assert training.micro_batch is not None
        assert training.micro_batch < spec.recipe.batch_size
        assert training.reward > training.chance

    def test_memory_that_never_suffices(self, store: DirectoryStore) -> None:
        training = self.train(store, self.spec(self.put_dataset(store)), stop=full())
        assert (training.status, training.reward, training.weights) == ("too_large", training.chance, None)

    def test_time_that_runs_out(self, store: DirectoryStore) -> None:
        spec, options = self.spec(self.put_dataset(store)), TrainerOptions(time_limit_seconds=LIMIT)
        asked = count(1)
        training = self.train(store, spec, options, elapsed=lambda: LIMIT if next(asked) > 2 else 0.0)
        assert (training.status, training.reward, training.weights) == ("timed_out", training.chance, None)
        seen = list[EpochRecord]()
        late = train(self.subject(store, spec), seen.append, options, elapsed=lambda: LIMIT if seen else 0.0)
        assert (late.status, late.best_epoch, late.reward) == ("timed_out", 1, seen[0].reward)
        assert late.weights is not None

    def test_what_never_learns(self, store: DirectoryStore) -> None:
        result = self.delivered(store, self.spec(self.put_dataset(store), **self.hopeless))
        assert (result.status, result.reward, result.weights) == ("untrainable", result.chance, None)
        assert result.pictures == {}

    def test_options_that_are_wrong_are_named(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        task = PluginRef(name=spec.task.name, options={"nonsense": 1})
        report = self.carry_out(store, self.ask(store, spec.model_copy(update={"task": task})))
        assert report.exit_code == ExitCode.UNEQUIPPED, "no net is the cause"
        assert report.reason.startswith("task.options.nonsense: ")

    def test_one_step(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store), epochs=50, max_rates=5)
        before = [*store.list("")]
        step = Trainer(1, tasks=self.tasks, spaces=self.spaces).one_step(store, spec)
        assert (step.examples, step.device[:3]) == (min(step.of, spec.recipe.batch_size), "cpu")
        declared = measures_of(self.tasks(spec.task.name))
        assert set(declared or step.measures) == set(step.measures) != set()
        assert [*store.list("")] == before, "nothing is written"

    def test_a_dataset_that_is_another_one(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        store.put(keys.dataset(spec.dataset.name, spec.dataset.digest), b"nothing")
        assert self.carry_out(store, self.ask(store, spec)).exit_code == ExitCode.DATASET

    def test_pictures_lie_beside_the_result(self, store: DirectoryStore) -> None:
        spec = self.spec(self.put_dataset(store))
        result = self.delivered(store, spec)
        assert set(result.pictures) == self.pictures
        for kind, artifact in artifacts.named(result).items():
            data = artifacts.read(store, RUN, spec.trial_id(), kind, artifact)
            assert data.startswith(b"\x89PNG") == kind.startswith("picture-")


def after(steps: int) -> Callable[[], bool]:
    """Says stop when it has been asked more than so many times."""
    asked = count(1)
    return lambda: next(asked) > steps


def full(*steps: int) -> Callable[[], bool]:
    """Asked whether to stop, at some of the times that it is asked memory has run out; without any at all of them."""
    asked = count(1)

    def stop() -> bool:
        if next(asked) in steps or not steps:
            raise torch.OutOfMemoryError("out of memory")
        return False

    return stop
