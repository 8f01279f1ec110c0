"""Average the best nets of runs, of images and of volumes: `python -m metaqnn_segmentation slices volumes`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from metaqnn_orch import Search
from metaqnn_orch.errors import KNOWN
from metaqnn_segmentation.task import Segmentation, dice
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.tasks.base import Part, task_of


@torch.inference_mode()
def averaged(store: Store, trials: Sequence[tuple[str, str]], part: Part) -> list[float]:
    """The Dice coefficients of trials (run, trial), each alone; and last that of the mean of their probabilities.

    Raises:
        RequestError: a trial kept no weights, segments nothing, or was trained on another dataset than the first.
        DatasetError: the dataset is missing.
        StoreError: the store does not answer.
    """
    reader, found, datasets = Reader(store), [], set()
    for run, trial in trials:
        task = task_of(reader.spec(run, trial))
        datasets.add(task.spec.dataset)
        weights = read(TrainingResult, store.get, keys.result(run, trial)).weights
        if not isinstance(task, Segmentation) or len(datasets) > 1 or weights is None:
            raise RequestError(f"trial {trial} of run {run} kept no weights, segments nothing, or has another dataset")
        data = task.load(reader, torch.device("cpu"))
        model = task.build(data, torch.Generator()).eval()
        model.load_state_dict(reader.weights(WeightsRef(run=run, trial=trial, sha256=weights.sha256)))
        found.append(task.probabilities(model, data, part, task.spec.recipe.batch_size, lambda: None))
        y = data.tensors[f"{part}_y"]
    return [dice(each.argmax(1), y, each.shape[1]) for each in (*found, torch.stack(found).mean(0))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m metaqnn_segmentation", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="runs whose best nets are averaged")
    parser.add_argument("--store", default="./runs", help="directory, or s3://bucket/prefix")
    parser.add_argument("--part", choices=("validation", "test"), default="test", help="(default: %(default)s)")
    asked = parser.parse_args(arguments)
    try:
        best = {run: Search(run, asked.store).best for run in asked.runs}
        trials = [(run, trial.trial) for run, trial in best.items() if trial is not None]
        found = averaged(open_store(asked.store), trials, asked.part)
    except KNOWN as error:
        parser.error(str(error))
    print(f"Dice coefficient on the {asked.part} part")
    for value, name in zip(found, [*(f"{run}/{trial}" for run, trial in trials), "their average"], strict=True):
        print(f"{value:.4f}  {name}")


if __name__ == "__main__":
    main()
