"""Data of one's own with a plug-in's preset: nobody says what follows from them, and all commands agree on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metaqnn_orch.application import datasets
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.sources.make import MadeDataset, make_dataset
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli


def coloured(folder: Path, size: int, classes: int) -> MadeDataset:
    """A dataset `pets` of a folder of coloured images, ten of each class."""
    rng = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class-{label}").mkdir(parents=True)
        for number in range(10):
            image = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
            image.save(folder / f"class-{label}" / f"{number}.png")
    return make_dataset("pets", folder)


def check_followed(cli: Cli, folder: Path, preset: str, made: MadeDataset, wanted: dict[str, Any]) -> None:
    """A search of the preset on the dataset has these settings, and only the dataset was named."""
    store = DirectoryStore(folder / "own")
    store.put(keys.dataset(made.ref.name, made.ref.digest), made.data)
    said = (preset, "--store", store.uri, "--set", f"dataset.name={made.ref.name}")
    source = f"dataset {made.ref.name}-{made.ref.digest}"
    shown = cli("config", "show", *said, "-o", "json").json()
    assert {key: shown[f"space.{key}"] for key in wanted} == {
        key: {"value": value, "origin": source} for key, value in wanted.items()
    }
    assert cli("space", *said, "-o", "json").json().items() >= wanted.items()
    assert cli("start", *said, "--run", "own", "--dry-run", "--trial-seconds", "1").code == 0
    look = datasets.facts(lambda: store)
    settings = load_settings(preset, {}, [], {"dataset.name": made.ref.name}, look=look).settings
    datasets.check_fit(settings, made.info)
    leaf, value = next(iter(wanted.items()))
    own = (*said, "--set", f"space.{leaf}={json.dumps(value)}")
    assert cli("config", "show", *own, "-o", "json").json()[f"space.{leaf}"]["origin"] == f"--set space.{leaf}"
    elsewhere = (preset, "--store", str(folder / "nothing"), "--set", f"dataset.name={made.ref.name}")
    said_no = cli("start", *elsewhere, "--run", "own").refused()
    assert all(f"space.{leaf}" in said_no for leaf in wanted)
    assert f"follow from the dataset, but dataset {made.ref.name} is not there" in said_no.replace("follows", "follow")
    assert not (folder / "nothing").exists()
