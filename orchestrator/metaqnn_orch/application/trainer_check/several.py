"""Checks of a process that trains several nets. A program need not know bundles: then each Job has one trial."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Final

from metaqnn_orch.application.trainer_check.bench import LONG, OFTEN, QUICK, RUN, Bench, CheckStore
from metaqnn_orch.application.trainer_check.registry import Checks, NotTried, Shortfall
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import BundleProgress
from metaqnn_trainer.store.base import exists

CHECKS: Final = Checks("bundle")

_ID: Final = "b" * 12
_KEY: Final = keys.bundle(RUN, _ID)
_MISSING: Final = "0" * 12  # a trial without a request

_PROGRESS: Final = (
    "before anything slow, and after each order that ended with 0, 11 or 17, write all such ends under the bundle's key"
)


@CHECKS.add("bundle", fix=f"train one order after another; {_PROGRESS}")
def bundle(bench: Bench) -> str:
    """Several orders in one process lead to a result each; one that cannot be carried out does not end the others."""
    place = bench.place()
    first, last = place.ask(), place.ask(QUICK.model_copy(update={"seed": 2}))
    orders = [(first.trial, 1), (_MISSING, 1), (last.trial, 2)]
    with bench.begin_bundle(place.store.uri, RUN, _ID, orders) as process:
        ended = process.wait(len(orders) * bench.limits.timeout)
    if ended is None:
        raise Shortfall(f"still running after {len(orders) * bench.limits.timeout:.0f} s", "an end before")
    _refuse_to_try(place, ended.code != 0)
    if ended.code != 0:
        raise Shortfall(ended.in_words(), "exit code 0: every order has ended")
    attempts = [place.accepted(request).attempt for request in (first, last)]
    if attempts != [1, 2]:
        raise Shortfall(f"results of attempts {attempts[0]} and {attempts[1]}", "1 and 2, as the orders said")
    _check_progress(place, [(first.trial, 1, 0), (_MISSING, 1, int(ExitCode.BAD_REQUEST)), (last.trial, 2, 0)])
    return f"two results and a refusal in one process, {ended.seconds:.1f} s"


@CHECKS.add("bundle-sigterm", fix=f"at SIGTERM end with 143 as one trial does; {_PROGRESS}; begin by reading it")
def bundle_sigterm(bench: Bench) -> str:
    """SIGTERM in the second of two orders leads to exit code 143, and a next process goes on with the second."""
    place = bench.place()
    first, second = place.ask(), place.ask(LONG, OFTEN)
    orders = [(first.trial, 1), (second.trial, 1)]
    with bench.begin_bundle(place.store.uri, RUN, _ID, orders) as process:
        bench.until_delivered(place, first, process)
        _refuse_to_try(place, process.is_over())
        bench.until_training(place, second, process)
        process.signal(signal.SIGTERM)
        ended = process.wait(bench.limits.grace)
    _refuse_to_try(place, ended is None or ended.code != ExitCode.PREEMPTED)
    if ended is None or ended.code != ExitCode.PREEMPTED:
        how = ended.in_words() if ended is not None else f"still running {bench.limits.grace:.0f} s after SIGTERM"
        raise Shortfall(how, f"exit code 143 within {bench.limits.grace:.0f} s")
    _check_progress(place, [(first.trial, 1, 0)])
    delivered = place.store.get(keys.result(RUN, first.trial), ENOUGH_BYTES)
    place.ask(LONG, bench.soon())
    with bench.begin_bundle(place.store.uri, RUN, _ID, orders) as process:
        ended = process.wait(2 * bench.limits.timeout)
    if ended is None or ended.code != 0:
        raise Shortfall(ended.in_words() if ended is not None else "the next process does not end", "exit code 0")
    if place.store.get(keys.result(RUN, first.trial), ENOUGH_BYTES) != delivered:
        raise Shortfall("the first result is another", "the first result to stay")
    _check_progress(place, [(first.trial, 1, 0), (second.trial, 1, 0)])
    return f"143; the next process went on with the second order ({place.accepted(second).status})"


def _refuse_to_try(place: CheckStore, failed: bool) -> None:
    """
    Raises:
        NotTried: the program does not know bundles.
    """
    if failed and not exists(place.store, _KEY):
        raise NotTried("it does not know bundles: with it execution.kubernetes.trials_per_job must be 1")


def _check_progress(place: CheckStore, expected: Sequence[tuple[str, int, int]]) -> None:
    """
    Raises:
        Shortfall: the progress does not say that these trials, in these attempts, ended with these codes.
    """
    wanted = ", ".join(f"{trial}/{attempt} with {code}" for trial, attempt, code in expected)
    try:
        progress = read(BundleProgress, place.store.get, _KEY)
    except MessageError as error:
        raise Shortfall(str(error), f"progress that can be read: {wanted}") from None
    found = [(end.trial, end.attempt, end.exit_code) for end in progress.ended]
    if found != [*expected]:
        said = ", ".join(f"{trial}/{attempt} with {code}" for trial, attempt, code in found) or "nothing"
        raise Shortfall(f"the progress says {said}", wanted)
