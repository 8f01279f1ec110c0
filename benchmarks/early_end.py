"""make bench-early-end: what stopping nets early saves and what it costs, on real learning curves.

Nets of the agent's random policy are trained to their end on the digits. Then each rule is replayed on their curves, in
many orders: so the end that a stopped net would have come to is known.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
from rich.console import Console

from benchmarks.early_end_report import tables
from benchmarks.measure import Spread, machine, save
from metaqnn_orch.control.early_end import early_end
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.settings.early_end import EXAMPLES, FEWEST
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.messages import LearningCurve, TrialSpec
from metaqnn_trainer.contract.result import Prediction
from metaqnn_trainer.images.dataset import parse_dataset
from metaqnn_trainer.sources.make import MadeDataset, make_dataset
from metaqnn_trainer.spaces.cnn.layer import describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.training.early_end import Forecast, forecast, is_asked, stopped
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train

RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    **{f"prediction, {confidence:g}": {"confidence": confidence} for confidence in (0.9, 0.95, 0.99)},
    "quarter": {"rule": "quarter"},
}
CONTENDERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "no rule": {"enabled": False},
    "prediction": {"examples": FEWEST},
    "quarter": {"rule": "quarter"},
}
"""The rules on equal epochs. A search of few nets needs a prediction from as few examples as allowed."""
MARKS = (0.5, 0.75, 0.9)  # shares of the nets that stay below: few nets beat the best, too few to catch a rule by


class Net(NamedTuple):
    """A net that was trained to its end; without a curve where it never learned."""

    net: str
    params: int
    macs: int
    curve: list[float]
    """Validation accuracies of the epochs."""
    seconds: list[float]
    """Of the same epochs, or of the first one at each rate."""

    def begun(self, epochs: int) -> LearningCurve:
        accuracies = tuple(self.curve[:epochs])
        return LearningCurve(params=self.params, macs=self.macs, layers=len(parse_net(self.net)), accuracies=accuracies)

    def trial(self, number: int) -> Trial:
        trial = Trial(f"{number:012x}", self.net, 1.0, "completed", max(self.curve), params=self.params, macs=self.macs)
        trial.curve = self.curve
        return trial


class Stop(NamedTuple):
    """A net that the rule ended, and how it would have gone on."""

    prediction: Prediction
    final: float
    epochs: int
    """That it was spared."""
    seconds: float


class Replay(NamedTuple):
    """The nets in one order."""

    begun: list[Net]
    under_rule: list[Net]
    """Those that began when there were examples enough."""
    better: list[Net]
    """Of these, whoever would have beaten the best until then."""
    stops: list[Stop]
    forecasts: list[tuple[Forecast, float]]
    """Of each net under the rule at the first question, with what it came to."""
    best: float
    """That was found."""

    @property
    def lost(self) -> float:
        """How much better the best net would have been that began."""
        return max(max(net.curve, default=0.0) for net in self.begun) - self.best


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=240, help="sampled, those that never learn included")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--searches", type=int, default=200, help="that are compared on equal epochs")
    parser.add_argument("--worth", type=int, default=60, help="nets whose epochs each of these searches has")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--curves", type=Path, help="the .json of an earlier run: nothing is trained")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    say = Console(stderr=True).print
    if options.curves is not None:
        earlier = json.loads(options.curves.read_text(encoding="utf-8"))
        where, nets = earlier["machine"], [Net(**values) for values in earlier["nets"]]
        options.epochs = earlier["options"]["epochs"]
    else:
        nets = train_all(options.nets, options.epochs, options.processes, say)
        where = machine("torch", "scikit-learn")
    learned, needed = sum(bool(net.curve) for net in nets), max(EXAMPLES.values())
    if learned <= needed:
        parser.error(f"{learned} of {len(nets)} nets learned, no more than the {needed} examples: --nets")
    finals = sorted(max(net.curve) for net in nets if net.curve)
    marks = [finals[int(share * len(finals))] for share in MARKS]
    found = {}
    for name, rule in RULES.items():
        say(f"{options.orders} orders of {name}")
        chosen = settings(options.epochs, rule)

        def replays(mark: float | None, chosen: Settings = chosen) -> list[Replay]:
            return [replay(nets, chosen, seed, mark) for seed in range(options.orders)]

        lower = [{"mark": mark, **mistakes(replays(mark))} for mark in marks]
        found[name] = {**figures(replays(None), nets), "lower marks": lower}
    say(f"{options.searches} searches on equal epochs")
    content = {
        "machine": where,
        "options": {name: getattr(options, name) for name in ("epochs", "orders", "searches", "worth")},
        "found": found,
        "equal epochs": on_equal_epochs(nets, options.epochs, options.searches, options.worth * options.epochs),
        "nets": [net._asdict() for net in nets],
    }
    save(options.to, "early-end", "Stopping nets early", tables(content), content)


def settings(epochs: int, rule: Mapping[str, Any] = MappingProxyType({})) -> Settings:
    values = {"execution.early_end": {"enabled": True, **rule}, "recipe.epochs": epochs}
    return load_settings("digits", {}, [], values).settings


def train_all(count: int, epochs: int, processes: int, say: Any) -> list[Net]:
    """So many different nets of the random policy, trained in so many processes of one thread each."""
    agent, sampled = RunState(settings(epochs)).agent, dict[str, None]()
    for number in range(100 * count):
        if len(sampled) < count:
            sampled[agent.propose(1.0, Random(f"early end/{number}"))] = None
    nets = []
    with ProcessPoolExecutor(processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for net in pool.map(train_one, sampled, [epochs] * len(sampled)):
            nets.append(net)
            last = f"{max(net.curve):.4f}" if net.curve else "never learned"
            say(f"{len(nets)}/{len(sampled)}  {last}  {sum(net.seconds):.1f} s")
    return nets


def train_one(net: str, epochs: int) -> Net:
    made, recipe = digits(), settings(epochs).recipe
    dataset = parse_dataset(made.data, "digits")
    spec = TrialSpec(net=net, dataset=made.ref, image_size=8, recipe=recipe)
    records: list[tuple[int, float, float]] = []
    subject = Subject(task_of(spec), dataset, dataset.mean.device, spec_cost(spec, 1))
    training = train(subject, lambda record: records.append((record.rate, record.reward, record.seconds)))
    whole = training.status == "completed" and training.epochs == epochs
    cost = total_cost(describe(parse_net(net), dataset.shape))
    counted = [record for record in records if record[0] == records[-1][0]] if whole else []
    seconds = [round(record[2], 4) for record in counted or records]
    return Net(net, cost.params, cost.macs, [record[1] for record in counted], seconds)


@cache
def digits() -> MadeDataset:
    return make_dataset("digits")


def replay(
    nets: Sequence[Net], chosen: Settings, seed: int, mark: float | None = None, most: float = math.inf
) -> Replay:
    """The nets one after the other, in the order of that seed, as a search with this rule meets them, until `most`
    epochs are used. Where there is a `mark`, it is to be beaten, and not the best so far."""
    order, epochs = [*nets], chosen.recipe.epochs
    Random(seed).shuffle(order)
    found = Replay([], [], [], [], [], 0.0)
    told: list[Trial] = []
    used = 0
    for number, net in enumerate(order):
        if used >= most:
            break
        found.begun.append(net)
        if not net.curve:
            used += len(net.seconds)
            continue
        best = max((trial for trial in told if trial.was_trained), key=lambda trial: trial.worth, default=None)
        if best is not None and mark is not None:
            best = replace(best, reward=mark)
        rule = early_end(chosen, reversed(told), best)
        stop = None
        if rule is not None:
            first = next(done for done in range(epochs) if is_asked(rule, done, epochs))
            found.under_rule.append(net)
            found.better.extend([net] if max(net.curve) > rule.best else [])
            found.forecasts.append((forecast(rule, net.begun(first)), max(net.curve)))
            answers = ((done, stopped(rule, net.begun(done), epochs)) for done in range(1, epochs))
            stop = next(((done, prediction) for done, prediction in answers if prediction is not None), None)
        told.append(trial := net.trial(number))
        done = epochs
        if stop is not None:
            done, prediction = stop
            trial.state, trial.curve = "stopped_early", net.curve[:done]
            found.stops.append(Stop(prediction, max(net.curve), epochs - done, sum(net.seconds[done:])))
        used += done
    return found._replace(best=max(trial.worth for trial in told if trial.was_trained))


def on_equal_epochs(nets: Sequence[Net], epochs: int, searches: int, most: int) -> dict[str, Any]:
    """What searches that may use `most` epochs find with each rule, beside the same searches without one."""
    found = {
        name: [replay(nets, settings(epochs, rule), seed, most=most) for seed in range(searches)]
        for name, rule in CONTENDERS.items()
    }
    without = [search.best for search in found["no rule"]]
    return {
        name: {
            "begun": Spread.of([len(search.begun) for search in of])._asdict(),
            "best": statistics.fmean(search.best for search in of),
            "gain": mean_of([search.best - best for search, best in zip(of, without, strict=True)]),
            "lost": statistics.fmean(search.lost for search in of),
            "searches that lost the best": sum(search.lost > 0 for search in of),
        }
        for name, of in found.items()
    }


def mean_of(values: Sequence[float]) -> dict[str, float]:
    """Their mean, and its 95 % interval by the bootstrap."""
    rng = Random(0)
    means = sorted(statistics.fmean(rng.choices(values, k=len(values))) for _ in range(1_000))
    return {"mean": statistics.fmean(values), "low": means[25], "high": means[-26]}


def figures(replays: Sequence[Replay], nets: Sequence[Net]) -> dict[str, Any]:
    """What each replay saved and lost, as medians and quartiles; what was foretold, over all of them."""
    stops = [stop for found in replays for stop in found.stops]
    foretold = [(stop.prediction, stop.final) for stop in stops]

    def spread(of: Callable[[Replay], float]) -> dict[str, float]:
        return Spread.of([of(found) for found in replays])._asdict()

    return {
        "under rule": spread(lambda found: len(found.under_rule)),
        "better": spread(lambda found: len(found.better)),
        "stopped": spread(lambda found: len(found.stops)),
        **mistakes(replays),
        "epochs saved": spread(
            lambda found: sum(stop.epochs for stop in found.stops) / sum(len(net.curve) for net in found.under_rule)
        ),
        "seconds saved": spread(
            lambda found: sum(stop.seconds for stop in found.stops) / sum(sum(net.seconds) for net in found.under_rule)
        ),
        "seconds saved in all": spread(
            lambda found: sum(stop.seconds for stop in found.stops) / sum(sum(net.seconds) for net in nets)
        ),
        "stopped nets": errors(foretold),
        "all nets when first asked": errors([pair for found in replays for pair in found.forecasts]),
    }


def mistakes(replays: Sequence[Replay]) -> dict[str, int]:
    """In all orders: nets that were stopped, nets that would have beaten what was to be beaten, and who is both."""
    stops = [stop for found in replays for stop in found.stops]
    return {
        "all stopped": len(stops),
        "all better": sum(len(found.better) for found in replays),
        "wrongly": sum(stop.final > stop.prediction.best for stop in stops),
    }


def errors(foretold: Sequence[tuple[Forecast | Prediction, float]]) -> dict[str, float]:
    """Of forecasts beside what came: mean absolute error, bias, mean spread, and the shares within one and two."""
    misses = [(guess.accuracy - final, guess.spread) for guess, final in foretold] or [(0.0, 0.0)]
    return {
        "count": len(foretold),
        "error": statistics.fmean(abs(miss) for miss, _ in misses),
        "bias": statistics.fmean(miss for miss, _ in misses),
        "spread": statistics.fmean(width for _, width in misses),
        "within 1": statistics.fmean(abs(miss) <= width for miss, width in misses),
        "within 2": statistics.fmean(abs(miss) <= 2 * width for miss, width in misses),
    }


if __name__ == "__main__":
    begun = time.monotonic()
    torch.set_num_threads(1)  # the arithmetic is small: further threads would only wait for each other
    main()
    print(f"{time.monotonic() - begun:.0f} s in all")
