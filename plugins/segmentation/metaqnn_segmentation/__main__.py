"""Average the best nets of runs, of images and of volumes: `python -m metaqnn_segmentation slices volumes`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from metaqnn_orch import Search
from metaqnn_orch.errors import KNOWN
from metaqnn_segmentation.average import averaged
from metaqnn_trainer.store.opening import open_store


def chosen(named: str, store: str) -> tuple[str, str]:
    """The run and the trial that `RUN/TRIAL` names; of a run alone, its best trial.

    Raises:
        ValueError: nothing was learned in the run.
        OrchestratorError: there is no such run.
    """
    run, _, trial = named.partition("/")
    if trial:
        return run, trial
    best = Search(run, store).best
    if best is None:
        raise ValueError(f"run {run} has no trained net")
    return run, best.trial


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m metaqnn_segmentation", description=__doc__)
    parser.add_argument("nets", nargs="+", metavar="RUN[/TRIAL]", help="a run, for its best net, or one of its trials")
    parser.add_argument("--store", default="./runs", help="directory, or s3://bucket/prefix")
    parser.add_argument("--part", choices=("validation", "test"), default="test", help="(default: %(default)s)")
    asked = parser.parse_args(arguments)
    try:
        trials = [chosen(named, asked.store) for named in asked.nets]
        found = averaged(open_store(asked.store), trials, asked.part)
    except (*KNOWN, ValueError) as error:
        parser.error(str(error))
    print(f"Dice coefficient on the {asked.part} part")
    for (run, trial), alone in zip(trials, found.alone, strict=True):
        print(f"{alone:.4f}  {run}/{trial}")
    print(f"{found.together:.4f}  the mean of their probabilities")


if __name__ == "__main__":
    main()
