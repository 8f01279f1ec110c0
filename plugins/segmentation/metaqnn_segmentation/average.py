"""The mean of the probabilities of trained nets, of images and of volumes, at each voxel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from metaqnn_segmentation.dice import dice
from metaqnn_segmentation.task import Segmentation
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.tasks.base import Part, task_of


class Averaged(NamedTuple):
    """Dice coefficients."""

    alone: list[float]
    together: float


@torch.inference_mode()
def averaged(store: Store, trials: Sequence[tuple[str, str]], part: Part) -> Averaged:
    """Measure these trials (run, trial), each alone and the mean of their probabilities.

    Raises:
        RequestError: a trial kept no weights, segments nothing, or was trained on another dataset than the first.
        DatasetError: the dataset is missing, or has nothing in this part.
        StoreError: the store does not answer.
    """
    reader, device = Reader(store), torch.device("cpu")
    found, datasets, alone = [], set(), []
    for run, trial in trials:
        spec = reader.spec(run, trial)
        task = task_of(spec)
        if not isinstance(task, Segmentation):
            raise RequestError(f"trial {trial} of run {run} segments nothing: its task is {spec.task.name}")
        datasets.add(spec.dataset)
        if len(datasets) > 1:
            raise RequestError(f"trial {trial} of run {run} was trained on another dataset than the first")
        weights = read(TrainingResult, store.get, keys.result(run, trial)).weights
        if weights is None:
            raise RequestError(f"trial {trial} of run {run} kept no weights")
        data = task.load(reader, device)
        model = task.build(data, torch.Generator())
        model.load_state_dict(reader.weights(WeightsRef(run=run, trial=trial, sha256=weights.sha256)))
        probabilities = task.probabilities(model.eval(), data, part, spec.recipe.batch_size, lambda: None)
        y, classes = task.cases(data, part).y, task.nets.options.classes
        found.append(probabilities)
        alone.append(dice(probabilities.argmax(1), y, classes))
    return Averaged(alone, dice(torch.stack(found).mean(0).argmax(1), y, classes))
