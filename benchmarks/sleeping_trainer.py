"""A trainer that sleeps for as long as starting and training would take, and then delivers. It stands in for Pods.

The process lives from when its card is taken until it is free: it also sleeps what Kubernetes takes to start a Pod.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from metaqnn_trainer.bundle import train_bundle
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.store.directory import DirectoryStore


def main() -> None:
    log, pod, imports, data, end, training, *_ = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what it sleeps at its end, nobody can cut short
    began = time.time() - time.process_time()
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    for name in ("--store", "--run", "--trial", "--attempt", "--bundle", "--limit"):
        parser.add_argument(name)
    parser.add_argument("--order", action="append", default=[])
    options = parser.parse_args(sys.argv[7:])
    store = DirectoryStore(options.store, durable=False)
    note(log, began=began)
    trained = []

    def prepare(first: WorkOrder) -> Callable[[WorkOrder], WorkReport]:
        # Importing this file has taken a moment already, which is a part of it.
        time.sleep(max(0.0, began + float(pod) + float(imports) + float(data) - time.time()))
        return carry_out

    def carry_out(order: WorkOrder) -> WorkReport:
        seconds = float(training) * Random(order.trial).uniform(0.9, 1.1)
        time.sleep(seconds)
        trained.append(seconds)
        request = decode(TrainingRequest, store.get(keys.request(order.run, order.trial)), order.trial)
        store.put_if_absent(keys.result(order.run, order.trial), encode(result_of(request, order.attempt, seconds)))
        return WorkReport(trial=order.trial, exit_code=0)

    named = options.order or [f"{options.trial}/{options.attempt}"]
    orders = [
        WorkOrder(store=options.store, run=options.run, trial=trial, attempt=int(attempt))
        for trial, _, attempt in (name.partition("/") for name in named)
    ]
    if options.kind == "train":
        prepare(orders[0])(orders[0])
    else:
        train_bundle(store, keys.bundle(options.run, options.bundle), orders, prepare, lambda: False)
    time.sleep(float(end))
    note(log, ended=time.time(), seconds=time.time() - began, trained=trained)


def note(log: str, **facts: object) -> None:
    with Path(log).open("a") as file:
        file.write(json.dumps(facts) + "\n")


def result_of(request: TrainingRequest, attempt: int, seconds: float) -> TrainingResult:
    """A result whose reward depends on the trial alone."""
    accuracy = Random(request.trial).random()
    cost = spec_cost(request.spec, channels=3)
    return TrainingResult(
        run=request.run,
        trial=request.trial,
        spec_digest=request.spec.digest(),
        attempt=attempt,
        status="completed",
        reward=accuracy,
        measures={"accuracy": accuracy},
        val_accuracy=accuracy,
        last_val_accuracy=accuracy,
        best_epoch=1,
        epochs=1,
        learning_rates=[request.spec.recipe.learning_rate],
        params=cost.params,
        macs=cost.macs,
        images_per_second=0.0,
        seconds=seconds,
        device="none",
        versions={},
    )


if __name__ == "__main__":
    main()
