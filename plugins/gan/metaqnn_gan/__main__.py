"""Make a run's best classifier the judge of its images: `python -m metaqnn_gan first --store ./runs`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from metaqnn_gan.judge import judged
from metaqnn_orch.application.logged import Logged
from metaqnn_orch.application.opening import open_store
from metaqnn_orch.errors import OrchestratorError
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.errors import TrainerError
from metaqnn_trainer.load import load_trial
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.sources.make import MadeDataset, encode_examples
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import StoreError


def judged_by(store: Store, run: str, trial: str | None = None) -> MadeDataset:
    """The images of a run with one of its classifiers, by default the best one.

    Raises:
        TrainerError, OrchestratorError, ContractError, StoreError: there is no such classifier, or no weights of it.
    """
    best = read_run(store, run).state.best
    if (trial := trial or (best.trial if best is not None else None)) is None:
        raise OrchestratorError(f"run {run} has no best trial yet", hint=f"metaqnn-orch status {run}")
    trained, result = load_trial(store, run, trial)
    found = Reader(store).dataset(trained.spec.dataset)
    examples = judged(found, trained.spec, trained.model.state_dict(), result.reward, f"trial {trial} of run {run}")
    return encode_examples(f"judged-{found.info.name}", examples)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m metaqnn_gan", description=__doc__)
    parser.add_argument("run", help="a run that classifies images")
    parser.add_argument("--store", default="./runs", help="directory, or s3://bucket/prefix")
    parser.add_argument("--trial", help="a trial of the run (default: its best)")
    asked = parser.parse_args(arguments)
    try:
        store = open_store(asked.store, Logged().say)
        made = judged_by(store, asked.run, asked.trial)
        store.put_if_absent(keys.dataset(made.ref.name, made.ref.digest), made.data)
    except (OrchestratorError, TrainerError, ContractError, StoreError) as error:
        parser.error(f"{error} {getattr(error, 'hint', '')}".strip())
    name, accuracy = (made.info.facts[key] for key in ("judge", "judge_accuracy"))
    print(f"{made.ref.name}-{made.ref.digest}: judged by {name}, validation accuracy {accuracy:.4f}")
    print(f"\n--set dataset.name={made.ref.name} --set dataset.digest={made.ref.digest}")


if __name__ == "__main__":
    main()
