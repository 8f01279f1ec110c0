"""python -m metaqnn_trainer train | bundle | worker | dataset | check | export | judge: the trainer's command line.

Its exit codes are the contract's (ExitCode); an error is one line on standard error.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import canonical_json, decode
from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.errors import KNOWN, RequestError, exit_code, in_words
from metaqnn_trainer.fetching import Opened, patient_store
from metaqnn_trainer.progress import say
from metaqnn_trainer.start_up import Ahead, lasting_imports

if TYPE_CHECKING:
    from metaqnn_trainer.trial import Trainer


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m metaqnn_trainer", description="Trains the nets that are asked for.")
    commands = root.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train the net of one request and write its result")
    train.add_argument("--store", required=True, help="the store: a path, file:///path or s3://bucket/prefix")
    train.add_argument("--run", required=True)
    train.add_argument("--trial", required=True)
    train.add_argument("--attempt", type=_positive, default=1)

    bundle = commands.add_parser("bundle", help="train the nets of several requests, one after another")
    bundle.add_argument("--store", required=True, help="the store: a path, file:///path or s3://bucket/prefix")
    bundle.add_argument("--run", required=True)
    bundle.add_argument("--bundle", required=True, type=_bundle_id, help="id of the bundle, which names its progress")
    bundle.add_argument(
        "--order", required=True, action="append", metavar="TRIAL/ATTEMPT", help="may be repeated, in this order"
    )
    bundle.add_argument("--limit", type=_positive, help="seconds after which a net that does not end ends the process")

    for trains in (train, bundle):
        trains.add_argument("--threads", type=_positive, help="threads on a CPU (default: torch's own choice)")
        trains.add_argument(
            "--dataset-cache",
            type=DatasetCache,
            default=os.environ.get("METAQNN_DATASET_CACHE") or None,
            help="folder that keeps datasets for the next trainers (default: $METAQNN_DATASET_CACHE)",
        )

    worker = commands.add_parser(
        "worker",
        help="read orders from standard input and write reports to standard output, one JSON object on each line",
    )
    worker.add_argument("--threads", type=_positive, help="threads on a CPU (default: torch's own choice)")

    dataset = commands.add_parser("dataset", help="make a dataset object and put it into the store")
    dataset.add_argument("name", help=f"{', '.join(SOURCES.members())}, or a name of your own")
    dataset.add_argument("--store", required=True, help="the store: a path, file:///path or s3://bucket/prefix")
    dataset.add_argument("--source", type=Path, help="the set's files, or a folder with one folder for each class")
    dataset.add_argument(
        "--image-size", type=_positive, help="size to which your own images are resized (default: their own, or 32)"
    )
    dataset.add_argument(
        "--validation", type=_positive, help="number of images for validation (default 5,000, at most a fifth)"
    )
    dataset.add_argument("--grayscale", action="store_true", help="turn your own images into grayscale")
    dataset.add_argument("--skip-bad", action="store_true", help="leave out files of your own that cannot be used")

    check = commands.add_parser("check", help="say whether the nets of a run can be trained here, and how measured")
    check.add_argument("--spec", required=True, help="the specification of one of its trials, as a request has it")
    check.add_argument("--layer", action="append", default=[], help="name in the text of a net; may be repeated")
    check.add_argument("--store", help="the store with the trial's dataset: also train one step on it")

    export = commands.add_parser("export", help="write a trained net as a file that needs nothing from this project")
    export.add_argument("--store", required=True, help="the store: a path, file:///path or s3://bucket/prefix")
    export.add_argument("--run", required=True)
    export.add_argument("--trial", required=True)
    export.add_argument("--format", required=True, choices=("onnx", "torch", "safetensors"))
    export.add_argument("--to", required=True, type=Path, help="FILE.onnx, FILE.pt2 or FILE.safetensors")
    export.add_argument("--fixed-size", action="store_true", help="take images of the net's own size only")
    export.add_argument("--test-accuracy", type=float, help="what finals measured, for the card")
    export.add_argument("--force", action="store_true", help="replace files that no earlier export wrote")

    judge = commands.add_parser(
        "judge", help="measure the test accuracy of the first of some trained nets, and of all as an ensemble"
    )
    judge.add_argument("--store", required=True, help="the store: a path, file:///path or s3://bucket/prefix")
    judge.add_argument("--trial", required=True, action="append", metavar="RUN/TRIAL", help="may be repeated")
    judge.add_argument("--threads", type=_positive, help="threads on a CPU (default: torch's own choice)")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the process's exit code."""
    options = parser().parse_args(arguments)
    try:
        match options.command:
            case "train":
                return _train(options)
            case "bundle":
                return _train_bundle(options)
            case "worker":
                return _work(options)
            case _:
                with _interrupted_once():
                    return _COMMANDS[options.command](options)
    except KNOWN as error:
        return _end(exit_code(error), in_words(error))
    except KeyboardInterrupt:
        return _end(130, "interrupted")


def _train(options: argparse.Namespace) -> int:
    order = _order(options, options.attempt)
    with _until_asked_to_stop() as stopped:
        report = _trainer(options, order, stopped).carry_out(order)
    return _end(report.exit_code, report.reason) if report.exit_code else ExitCode.DELIVERED


def _train_bundle(options: argparse.Namespace) -> int:
    orders = []
    for name in options.order:
        trial, _, attempt = name.partition("/")
        named = argparse.Namespace(store=options.store, run=options.run, trial=trial)
        orders.append(_order(named, int(attempt) if attempt.isdecimal() else 0))
    with _until_asked_to_stop() as stopped:
        from metaqnn_trainer.bundle import CarryOut, train_bundle

        store, key = patient_store(options.store, stopped), keys.bundle(options.run, options.bundle)

        def prepare(first: WorkOrder) -> CarryOut:
            return _trainer(options, first, stopped, lambda uri: store).carry_out

        report = train_bundle(store, key, orders, prepare, stopped, options.limit)
    return _end(report.exit_code, report.reason) if report else ExitCode.DELIVERED


def _trainer(
    options: argparse.Namespace, first: WorkOrder, stopped: Callable[[], bool], opened: Opened | None = None
) -> Trainer:
    """The trainer of this process, which has begun to read for its first order while torch is imported."""
    ahead = Ahead.of(first, options.dataset_cache, opened or partial(patient_store, stop=stopped))
    with lasting_imports():
        from metaqnn_trainer.trial import Trainer

    return Trainer(options.threads, stopped, options.dataset_cache, ahead=ahead)


@contextmanager
def _until_asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A block in which SIGTERM is noted; the function says whether it came.

    It begins before torch is imported, which takes seconds: a SIGTERM without a handler does not end a container's
    first process, and would only be lost.
    """
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """A block that Ctrl-C and SIGTERM end by KeyboardInterrupt, so that it can clean up. Further ones are ignored: who
    presses Ctrl-C in a terminal sends SIGINT, and the orchestrator, which hears it, too, then sends SIGTERM.
    """
    numbers = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) not in (signal.SIG_IGN, None)
    ]

    def stop(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _order(options: argparse.Namespace, attempt: int = 1) -> WorkOrder:
    """The trial that the options name.

    Raises:
        RequestError: a name is not valid.
    """
    try:
        return WorkOrder(store=options.store, run=options.run, trial=options.trial, attempt=attempt)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(f"--{first['loc'][0]} {first['input']!r}: {first['msg']}") from error


def _work(options: argparse.Namespace) -> int:
    from metaqnn_trainer.worker import work

    return work(options.threads)


def _make_dataset(options: argparse.Namespace) -> int:
    from metaqnn_trainer.sources.make import make_dataset
    from metaqnn_trainer.store.opening import open_store
    from metaqnn_trainer.store.patient import PATIENCE

    store = open_store(options.store, PATIENCE, say)
    # The output of libraries is no part of the answer.
    with redirect_stdout(sys.stderr):
        made = make_dataset(
            options.name,
            options.source,
            image_size=options.image_size,
            validation=options.validation,
            grayscale=options.grayscale,
            skip_bad=options.skip_bad,
            report=say,
        )
    key = keys.dataset(made.ref.name, made.ref.digest)
    written = store.put_if_absent(key, made.data)
    say(f"{key}: {'written' if written else 'there already'}, {len(made.data)} bytes")
    answer = {"name": made.ref.name, "digest": made.ref.digest, "key": key, "info": made.info.model_dump(mode="json")}
    print(canonical_json(answer).decode(), flush=True)
    return ExitCode.DELIVERED


def _check(options: argparse.Namespace) -> int:
    with lasting_imports():
        from metaqnn_trainer.equipment import check_equipment
        from metaqnn_trainer.trial import Trainer
    spec, step = decode(TrialSpec, options.spec, "--spec"), None
    with redirect_stdout(sys.stderr):
        measures = check_equipment(spec, options.layer)
        if options.store:
            step = Trainer().one_step(patient_store(options.store), spec)._asdict()
    print(canonical_json({"measures": measures, "step": step}).decode(), flush=True)
    return ExitCode.DELIVERED


def _export(options: argparse.Namespace) -> int:
    order = _order(options)
    from metaqnn_trainer.export.trial import export_trial
    from metaqnn_trainer.store.opening import open_store
    from metaqnn_trainer.store.patient import PATIENCE

    with redirect_stdout(sys.stderr):
        made = export_trial(
            open_store(order.store, PATIENCE),
            order.run,
            order.trial,
            options.format,
            options.to,
            fixed_size=options.fixed_size,
            force=options.force,
            test_accuracy=options.test_accuracy,
        )
    answer = {**made._asdict(), "files": [str(file) for file in made.files]}
    print(canonical_json(answer).decode(), flush=True)
    return ExitCode.DELIVERED


def _judge(options: argparse.Namespace) -> int:
    from metaqnn_trainer.judge import judge
    from metaqnn_trainer.store.opening import open_store
    from metaqnn_trainer.store.patient import PATIENCE
    from metaqnn_trainer.training.device import choose_device

    trials = []
    for name in options.trial:
        run, _, trial = name.partition("/")
        order = _order(argparse.Namespace(store=options.store, run=run, trial=trial))
        trials.append((order.run, order.trial))
    found = judge(open_store(options.store, PATIENCE), trials, choose_device(options.threads), say)
    print(canonical_json(found._asdict()).decode(), flush=True)
    return ExitCode.DELIVERED


_COMMANDS: Final = {"check": _check, "export": _export, "judge": _judge, "dataset": _make_dataset}


def _end(code: int, reason: str) -> int:
    print(f"metaqnn_trainer: {' '.join(reason.split())}", file=sys.stderr)
    return code


def _bundle_id(text: str) -> str:
    if not re.fullmatch(keys.BUNDLE_PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id of a bundle")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
