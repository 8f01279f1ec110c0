"""Checks with right requests: what is delivered, how, and what happens beside other attempts."""

from __future__ import annotations

import hashlib
from typing import Final

from metaqnn_orch.application.trainer_check.bench import LONG, RUN, Bench, CheckStore
from metaqnn_orch.application.trainer_check.registry import Checks, Doubt, NotTried, Shortfall
from metaqnn_orch.application.trainer_check.sample import CLASSES
from metaqnn_orch.errors import ObjectMissing
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.spaces.cnn.spec import spec_cost

CHECKS: Final = Checks("right")


@CHECKS.add("delivers", fix="run it by hand against a store of your own; the page docs/trainer.md has a whole example")
def delivers(bench: Bench) -> str:
    """A request leads to exit code 0 and a result.json that can be read."""
    delivery = bench.deliver()
    result = delivery.place.result(delivery.request)
    return f"{result.status}, reward {result.reward:.4f}, {delivery.ended.seconds:.1f} s"


@CHECKS.add("accepted", fix="the reason names the field; docs/trainer.md says what each holds and what is refused")
def accepted(bench: Bench) -> str:
    """The orchestrator takes the result: identity, numbers and history fit what was asked."""
    delivery = bench.delivery()
    result = delivery.place.accepted(delivery.request)
    if result.attempt != 1:
        raise Shortfall(f"attempt {result.attempt}", "attempt 1, as --attempt said")
    return f"{result.params} parameters, {result.macs} multiply-accumulates"


@CHECKS.add("learns", fix="are images, labels and the split read as docs/trainer.md says?")
def learns(bench: Bench) -> str:
    """The net learns images that any net can tell apart."""
    delivery = bench.delivery()
    result = delivery.place.result(delivery.request)
    if result.reward <= 1 / CLASSES:
        raise Doubt(f"{result.status}, reward {result.reward:.4f}", f"more than chance, {1 / CLASSES:.4f}")
    return f"reward {result.reward:.4f}, chance is {1 / CLASSES:.4f}"


@CHECKS.add("siblings", fix="write the bytes first, and take size and sha256 of exactly these bytes, also for the name")
def siblings(bench: Bench) -> str:
    """Weights and history lie under the names that their digests say, with the size and sha256 in the result."""
    delivery = bench.delivery()
    found = artifacts.named(delivery.place.result(delivery.request))
    for kind, artifact in found.items():
        key = artifacts.key_of(RUN, delivery.request.trial, kind, artifact)
        try:
            data = delivery.place.store.get(key, artifact.size + 1)
        except ObjectMissing:
            raise Shortfall(f"no {key}", "the object that the result names") from None
        there = f"{len(data)} bytes of sha256 {hashlib.sha256(data).hexdigest()}"
        named = f"{artifact.size} bytes of sha256 {artifact.sha256}"
        if there != named:
            raise Shortfall(f"{key}: {there}", named)
    if missing := [kind for kind in ("weights", "history") if kind not in found]:
        lost = "without weights nothing can be pulled, without a history there are no curves"
        raise Doubt(f"no {' and no '.join(missing)}", f"both: {lost}", "write them, and name them in the result")
    return ", ".join(f"{kind} {artifact.size} bytes" for kind, artifact in found.items())


@CHECKS.add("order", fix="write weights and history, then result.json under a name of its own, and link it to its name")
def order(bench: Bench) -> str:
    """result.json appears last, and whole at once."""
    delivery = bench.delivery()
    if delivery.changes is None:
        raise NotTried("this system does not tell in which order files appear")
    names = [change.name for change in delivery.changes]
    first = names.index("result.json")
    kept = {path.name for path in delivery.place.folder(delivery.request).iterdir()}
    if late := [change.name for change in delivery.changes[first:] if change.name in kept - {"result.json"}]:
        raise Shortfall(f"{late[0]} was written after result.json", "result.json last: whoever sees it reads the rest")
    if "result.json" in [change.name for change in delivery.changes[first:] if not change.appeared]:
        raise Shortfall("result.json was there before it was written", "a file that appears with all its bytes")
    return "result.json last"


@CHECKS.add(
    "nothing-else",
    fix="remove the checkpoint and epochs.jsonl when the result is there, and write scratch files to $TMPDIR",
)
def nothing_else(bench: Bench) -> str:
    """The store holds what the contract names, and nothing else."""
    delivery = bench.delivery()
    request, after = delivery.request, delivery.place.tree()
    result = delivery.place.result(request)
    named = {artifacts.key_of(RUN, request.trial, kind, one) for kind, one in artifacts.named(result).items()}
    if changed := [path for path, data in delivery.before.items() if after.get(path) != data]:
        raise Shortfall(f"{changed[0]} was changed or removed", "what was there before as it was", "only read it")
    more = after.keys() - delivery.before.keys() - named - {keys.result(RUN, request.trial)}
    if more:
        raise Shortfall(f"{', '.join(sorted(more))[:300]}", "result.json and the siblings that it names, alone")
    return f"{amount(len(after) - len(delivery.before), 'object')}"


@CHECKS.add("streams", fix="write progress to standard error, in lines of UTF-8, and nothing to standard output")
def streams(bench: Bench) -> str:
    """Standard output stays empty, and standard error is text."""
    ended = bench.delivery().ended
    if ended.out:
        raise Shortfall(f"{len(ended.out)} bytes on standard output: {ended.out[:60]!r}", "nothing there")
    try:
        text = ended.err.decode()
    except UnicodeDecodeError as error:
        raise Shortfall(f"standard error has {ended.err[error.start : error.start + 20]!r}", "UTF-8") from None
    if odd := [letter for letter in text if not letter.isprintable() and letter not in "\n\r\t"]:
        raise Shortfall(f"standard error has the control character {odd[0]!r}", "printable text")
    return f"{amount(len(text.splitlines()), 'line')} on standard error"


@CHECKS.add("reproducible", fix="derive every random number from recipe.seed, and choose deterministic algorithms")
def reproducible(bench: Bench) -> str:
    """The same request, in another run, leads to the same reward."""
    first = bench.delivery()
    place = bench.place()
    request = place.ask(run="again")
    ended = bench.run(request, place.store.uri)
    if ended.code != 0:
        raise Shortfall(ended.in_words(), "exit code 0, as the first time")
    rewards = (first.place.result(first.request).reward, place.result(request).reward)
    if rewards[0] != rewards[1]:
        raise Doubt(f"rewards {rewards[0]!r} and {rewards[1]!r}", "twice the same: a search can then be repeated")
    return f"twice {rewards[0]:.4f}"


@CHECKS.add(
    "second-attempt", fix="look for result.json before anything else: where it is, end with 0 and write nothing"
)
def second_attempt(bench: Bench) -> str:
    """Where a result is, another attempt changes nothing and ends with 0."""
    delivery = bench.delivery()
    before = delivery.place.tree()
    ended = bench.run(delivery.request, delivery.place.store.uri, attempt=2)
    if ended.code != 0:
        raise Shortfall(ended.in_words(), "exit code 0")
    after = delivery.place.tree()
    if changed := sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)):
        raise Shortfall(f"{changed[0]} is another", "everything as it was")
    return f"{ended.seconds:.1f} s"


@CHECKS.add("first-wins", fix="create result.json only if it does not exist; where it does, end with 0 and tidy up")
def first_wins(bench: Bench) -> str:
    """A result that another attempt delivers meanwhile stays, and this attempt ends with 0."""
    place = bench.place()
    request = place.ask(LONG, bench.soon(disturbed=True))
    with bench.begin(request, place.store.uri, attempt=2) as process:
        bench.until_training(place, request, process)
        theirs = encode(_chance(request))
        if not place.store.put_if_absent(keys.result(RUN, request.trial), theirs):
            raise NotTried("it had delivered before another attempt could")
        ended = process.wait(bench.limits.timeout)
    if ended is None:
        raise Shortfall(f"still running {bench.limits.timeout:.0f} s after its time limit", "an end, with exit code 0")
    if place.store.get(keys.result(RUN, request.trial), ENOUGH_BYTES) != theirs:
        raise Shortfall("the other attempt's result was overwritten", "the first result to stay")
    if ended.code != 0:
        raise Shortfall(ended.in_words(), "exit code 0: there is a result")
    if left := _left(place, request):
        raise Doubt(f"{', '.join(left)[:200]} stays", "nothing of this attempt", "remove what no result names")
    return "it stays, and nothing of this attempt is left"


def _chance(request: TrainingRequest) -> TrainingResult:
    """The result of a net that learned nothing, as another attempt may have delivered it."""
    params, macs = spec_cost(request.spec, channels=1)
    return TrainingResult(
        run=request.run,
        trial=request.trial,
        spec_digest=request.spec.digest(),
        attempt=1,
        status="timed_out",
        reason="made by a check",
        reward=1 / CLASSES,
        chance=1 / CLASSES,
        val_accuracy=1 / CLASSES,
        last_val_accuracy=1 / CLASSES,
        best_epoch=0,
        epochs=0,
        learning_rates=[],
        params=params,
        macs=macs,
        images_per_second=0,
        seconds=0,
        device="none",
        versions={},
    )


def _left(place: CheckStore, request: TrainingRequest) -> list[str]:
    """The files beside request and result."""
    return sorted({path.name for path in place.folder(request).iterdir()} - {"request.json", "result.json"})
