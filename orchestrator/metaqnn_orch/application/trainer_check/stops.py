"""Checks of trainings that are cut short: by the time limit, SIGTERM, SIGKILL, or a missing GPU."""

from __future__ import annotations

import signal
from typing import Final

from metaqnn_orch.application.trainer_check.bench import LONG, OFTEN, QUICK, RUN, Bench, CheckStore
from metaqnn_orch.application.trainer_check.registry import Checks, Doubt, Shortfall
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import ExitCode, TrainingResult
from metaqnn_trainer.store.base import exists

SLOW: Final = Checks("slow")
KILLED: Final = Checks("killed")
DEVICES: Final = Checks("devices")

_SLACK: Final = 10.0  # seconds beyond the time limit, in which the trainer writes its result
_NEXT: Final = (
    "a next attempt begins anew, or goes on from the checkpoint; a damaged checkpoint is no use, and no error"
)


@SLOW.add("time-limit", fix="count from the process's start; at the limit, deliver the best epoch so far as timed_out")
def time_limit(bench: Bench) -> str:
    """At options.time_limit_seconds training ends, and the best epoch until then is the result."""
    place = bench.place()
    request = place.ask(LONG, bench.soon())
    limit = request.options.time_limit_seconds or 0.0
    longest = limit + _SLACK + bench.delivery().ended.seconds
    ended = bench.run(request, place.store.uri, timeout=longest)
    if ended.code != 0:
        raise Shortfall(ended.in_words(), "exit code 0")
    result = place.accepted(request)
    late = ended.seconds > limit + 1 + bench.delivery().ended.seconds
    if late and result.status == "completed" and result.epochs == request.spec.recipe.epochs:
        raise Shortfall(f"it trained for {ended.seconds:.1f} s", f"an end at the limit, {limit:.1f} s")
    if result.status == "completed" and result.epochs < request.spec.recipe.epochs and ended.seconds >= limit:
        raise Doubt(f"completed, after {result.epochs} of {request.spec.recipe.epochs} epochs", "status timed_out")
    if result.status == "timed_out" and not result.best_epoch:
        raise Doubt("timed_out, and no epoch counts", f"that of the best epoch, of {limit:.0f} s")
    return f"{result.status} after {ended.seconds:.1f} s, best epoch {result.best_epoch}; the limit was {limit:.1f} s"


@KILLED.add("sigterm", fix="have a handler of SIGTERM before anything slow begins: write a checkpoint, end with 143")
def sigterm(bench: Bench) -> str:
    """SIGTERM in training leads to exit code 143 within the grace, and a next attempt delivers."""
    place = bench.place()
    request = place.ask(LONG, OFTEN)
    with bench.begin(request, place.store.uri) as process:
        bench.until_training(place, request, process)
        process.signal(signal.SIGTERM)
        ended = process.wait(bench.limits.grace)
    expected = f"exit code 143 within {bench.limits.grace:.0f} s"
    if ended is None:
        raise Shortfall(f"still running {bench.limits.grace:.0f} s after SIGTERM", expected)
    if ended.code == -signal.SIGTERM:
        deaf = "no handler: as the first process of a container it would not even notice, and be killed later"
        raise Shortfall(f"SIGTERM ended it, {deaf}", expected)
    if ended.code != ExitCode.PREEMPTED:
        raise Shortfall(ended.in_words(), expected)
    if place.delivered(request):
        raise Shortfall("143, and a result.json", "either: 143 says that the trial is not done")
    kept = exists(place.store, keys.checkpoint(RUN, request.trial))
    result = _next(bench, place, request)
    return f"143{', with a checkpoint' if kept else ''}; {_beginning(result)}"


@KILLED.add("sigkill", fix=f"write every object whole or not at all; {_NEXT}")
def sigkill(bench: Bench) -> str:
    """After SIGKILL in training a next attempt delivers, and its result is whole."""
    place = bench.place()
    request = place.ask(LONG, OFTEN)
    with bench.begin(request, place.store.uri) as process:
        bench.until_training(place, request, process)
        process.signal(signal.SIGKILL)
        process.wait(bench.limits.timeout)
    return _beginning(_next(bench, place, request))


@KILLED.add("damaged-checkpoint", fix=_NEXT)
def damaged_checkpoint(bench: Bench) -> str:
    """A checkpoint that is damaged is no reason to fail."""
    place = bench.place()
    request = place.ask(QUICK, bench.soon())
    bench.delivery()
    place.store.put(keys.checkpoint(RUN, request.trial), b"\xffno checkpoint of anybody")
    return _beginning(_next(bench, place, request))


@DEVICES.add("no-gpu", fix="where options.devices is above 0 and no GPU is usable, end with 14: other nodes are tried")
def no_gpu(bench: Bench) -> str:
    """A GPU was asked for, and there is none."""
    place = bench.place()
    request = place.ask(QUICK, OFTEN.model_copy(update={"devices": 1}))
    ended = bench.run(request, place.store.uri, gpus=False)
    if ended.code == 0:
        on = place.result(request).device
        raise Shortfall(
            f"it trained on {on}", "exit code 14: a trial that was given a GPU is not trained on anything else"
        )
    if ended.code != ExitCode.DEVICE:
        raise Shortfall(ended.in_words(), "exit code 14")
    return f"exit code 14: {ended.last_words}"


def _next(bench: Bench, place: CheckStore, request: TrainingRequest) -> TrainingResult:
    """The result of a second attempt, which is given a few seconds of training."""
    place.ask(request.spec.recipe, bench.soon())
    ended = bench.run(request, place.store.uri, attempt=2)
    if ended.code != 0:
        raise Shortfall(f"the next attempt: {ended.in_words()}", "exit code 0")
    result = place.accepted(request)
    if result.attempt != 2:
        raise Shortfall(f"attempt {result.attempt} in the result", "attempt 2, as --attempt said")
    if exists(place.store, keys.checkpoint(RUN, request.trial)):
        raise Shortfall("the checkpoint is still there", "none beside a result", "remove it when the result is there")
    return result


def _beginning(result: TrainingResult) -> str:
    how = f"went on from {result.resumed_from}" if result.resumed_from else "began anew"
    return f"the next attempt {how}, and delivered ({result.status})"
