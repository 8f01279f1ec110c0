"""Average the best nets of runs, of images and of volumes: `python -m metaqnn_segmentation slices volumes`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from metaqnn_orch import Search
from metaqnn_orch.cli.output import complain
from metaqnn_orch.errors import KNOWN, BadInput, exit_code
from metaqnn_orch.next_command import next_command
from metaqnn_segmentation.task import Segmentation, dice
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.errors import TrainerError
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.tasks.base import task_of


@torch.inference_mode()
def averaged(runs: Sequence[str], store: str) -> dict[str, float]:
    """The Dice coefficients on the test part, of each run's best net, and of the mean of their probabilities.

    Raises:
        BadInput: a run is not there, has no trained net, segments nothing, or has another dataset than the first.
        RequestError, DatasetError, StoreError: its weights or its dataset cannot be read.
    """
    opened, found, datasets = open_store(store), dict[str, Tensor](), set()
    for run in runs:
        best, hint = Search(run, store).best, next_command(f"status {run}", store)
        kept = read(TrainingResult, opened.get, keys.result(run, best.trial)).weights if best is not None else None
        if best is None or kept is None:
            raise BadInput(f"run {run} has no trained net yet", hint)
        task = task_of(Reader(opened).spec(run, best.trial))
        datasets.add(task.spec.dataset)
        if not isinstance(task, Segmentation) or len(datasets) > 1:
            raise BadInput(f"run {run} segments nothing, or has another dataset than run {runs[0]}", hint)
        data = task.load(Reader(opened), torch.device("cpu"))
        net = task.build(data, torch.Generator()).eval()
        net.load_state_dict(Reader(opened).weights(WeightsRef(run=run, trial=best.trial, sha256=kept.sha256)))
        found[f"{run}/{best.trial}"] = task.probabilities(net, data, "test", task.spec.recipe.batch_size, lambda: None)
    found["their average"] = torch.stack([*found.values()]).mean(0)
    return {name: dice(each.argmax(1), data.tensors["test_y"], each.shape[1]) for name, each in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m metaqnn_segmentation", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="runs whose best nets are averaged")
    parser.add_argument("--store", default="./runs", help="directory, or s3://bucket/prefix")
    asked = parser.parse_args(arguments)
    try:
        found = averaged(asked.runs, asked.store)
    except (*KNOWN, TrainerError) as error:
        complain(str(error), getattr(error, "hint", ""))
        raise SystemExit(exit_code(error)) from error
    print("Dice coefficient on the test part", *(f"{value:.4f}  {name}" for name, value in found.items()), sep="\n")


if __name__ == "__main__":
    main()
