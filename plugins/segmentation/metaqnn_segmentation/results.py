"""Searched nets, a fixed U-Net of MONAI and random search, equally trained: `python -m metaqnn_segmentation.results`.

The fixed net is trained as many epochs as all nets of a search together. All name the weights that are best on the
validation part, and the test part decides. The average is that of the nets that two searches name, one of slices and
one of volumes. Run it in the repository's folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from benchmarks.plugin_results import measured_on_test
from monai.networks.nets.unet import UNet
from torch import nn

from metaqnn_orch import Search
from metaqnn_segmentation.__main__ import averaged
from metaqnn_segmentation.space import ResidualUNets
from metaqnn_segmentation.task import Segmentation
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.reading import DatasetObject, Reader
from metaqnn_trainer.spaces.base import Cost, space_of
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train

METHODS: Final = ("random", "evolution")
GROUPS: Final = {
    "images": ("segment-images",),
    "volumes": ("segment-slices", "segment-volumes"),
    "brain": ("segment-brain-slices", "segment-brain"),
}
RATE: Final = 0.003  # of the fixed net: the middle one of the space's
DECAYED: Final = 0.8  # share of its epochs after which its rate is lowered, as in the presets


class Found(NamedTuple):
    """The named net: Dice on the test part, parameters, and where it is."""

    dice: float
    params: int
    run: str = ""
    trial: str = ""


class FixedUNet(Segmentation):
    """Segmentation by MONAI's residual U-Net, whatever the design."""

    def build(self, data: DatasetObject, generator: torch.Generator) -> nn.Module:
        assert isinstance(self.space, ResidualUNets)
        options = self.space.options
        net: nn.Module = UNet(
            spatial_dims=len(options.shape),
            in_channels=options.channels,
            out_channels=options.classes,
            channels=(8, 16, 32),
            strides=(2, 2),
            num_res_units=2,
        )
        return net


def searched(preset: str, method: str, store: str, settings: dict[str, Any]) -> Found:
    run = f"{preset}-{method}-{settings['seed']}"
    population = settings["schedule.total"] // 3  # as in the presets: the rest are children
    how = {"random": {}, "evolution": {"search.population": population, "search.tournament": min(3, population)}}
    asked = {**settings, "search.method": method, **how[method]}
    search = Search.start(preset, run=run, store=store, settings=asked, progress=False)
    best = search.best
    assert best is not None
    return Found(measured_on_test(store, run, best.trial)["dice"], best.params or 0, run, best.trial)


def fixed(like: Found, store: str, nets: int) -> Found:
    """The fixed net, on the data and by the recipe of a trained one, but for `nets` times as many epochs. What it
    found is kept in the store, too.
    """
    kept = Path(store, f"fixed-{like.run}.json")
    if kept.exists():
        return Found(*json.loads(kept.read_text()))
    opened, device = open_store(store), torch.device("cpu")
    spec = read(TrainingRequest, opened.get, keys.request(like.run, like.trial)).spec
    epochs = spec.recipe.epochs * nets
    changes = {"epochs": epochs, "decay_epochs": round(DECAYED * epochs), "learning_rate": RATE}
    task = FixedUNet(
        spec.model_copy(update={"recipe": spec.recipe.changed(changes)}), FixedUNet.Options(), space_of(spec)
    )
    data = task.load(Reader(opened), device)
    params = sum(weights.numel() for weights in task.build(data, torch.Generator()).parameters())
    training = train(Subject(task, data, device, Cost(params, 0)), lambda record: None)
    found = Found(training.test_measures["dice"], params)
    kept.write_text(json.dumps(found))
    return found


def front(run: str, store: str) -> str:
    """The nets of a run of which no other is smaller and better, by the validation part."""
    best, lines = -1.0, []
    for trial in sorted(Search(run, store).trials, key=lambda one: (one.params or 0, -(one.reward or 0))):
        if trial.reward is not None and trial.reward > best:
            best = trial.reward
            lines.append(f"{trial.params:,}: {best:.3f}")
    return ", ".join(lines)


def compared(group: str, store: str, seeds: int, settings: dict[str, Any], skipped: list[str]) -> None:
    rows = dict[str, list[Found]]()
    nets = settings["schedule.total"]
    for seed in range(seeds):
        asked = {**settings, "seed": seed, "recipe.seed": seed}
        named = []
        for preset in GROUPS[group]:
            for method in METHODS:
                if method not in skipped:
                    rows.setdefault(f"{preset}, {method}", []).append(searched(preset, method, store, asked))
            named.append(rows[f"{preset}, evolution"][-1])
            if "fixed" not in skipped:
                rows.setdefault(f"{preset}, MONAI's U-Net", []).append(fixed(named[-1], store, nets))
            print(f"{preset}, seed {seed}: {front(named[-1].run, store)}", file=sys.stderr, flush=True)
            print({name: each[seed] for name, each in rows.items() if preset in name}, file=sys.stderr, flush=True)
        if len(named) > 1:
            together = averaged([one.run for one in named], store)["their average"]
            params = sum(one.params for one in named)
            rows.setdefault("the average of both", []).append(Found(together, params))
    for name, found in rows.items():
        mean = statistics.fmean(one.dice for one in found)
        each, sizes = ", ".join(f"{one.dice:.3f}" for one in found), ", ".join(f"{one.params:,}" for one in found)
        print(f"| {group} | {name} | {mean:.3f} | {each} | {sizes} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--nets", type=int, default=30)
    parser.add_argument("--groups", nargs="+", default=[*GROUPS], choices=GROUPS)
    parser.add_argument("--skip", nargs="*", default=[], choices=["random", "fixed"])
    parser.add_argument("--epochs", type=int, help="of each net (default: those of the preset)")
    parser.add_argument("--store", help="folder to keep; what is there is not trained again")
    asked = parser.parse_args()
    settings: dict[str, Any] = {"schedule.total": asked.nets}
    if asked.epochs:
        settings |= {"recipe.epochs": asked.epochs, "recipe.decay_epochs": round(DECAYED * asked.epochs)}
    began = time.monotonic()
    print("| data | nets | test Dice | of each seed | parameters |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for group in asked.groups:
            compared(group, asked.store or folder, asked.seeds, settings, asked.skip)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
