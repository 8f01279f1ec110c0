"""Settings of the space that follow from the dataset, where nobody says them. Each family declares its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from metaqnn_orch.errors import SettingsError
from metaqnn_trainer.contract.dataset import DatasetInfo, known_info
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.keys import NAME_PATTERN
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY, SPACES, Follow


class Looked(NamedTuple):
    """A dataset that was found."""

    source: str
    """Name of the dataset for people, with its digest where it has one."""
    info: DatasetInfo


Look = Callable[[str, str | None], Looked | None]
"""A function of a dataset's name, and of its digest where one is given. It returns what the dataset says of itself, or
None where it is not known.
"""


def built_in(name: str, digest: str | None = None) -> Looked | None:
    """What is known of a built-in dataset, whether or not its object is made."""
    info = known_info(name)
    return Looked(f"dataset {name}", info) if info is not None else None


def follow(values: dict[str, Any], origins: dict[str, str], look: Look, meant: Mapping[str, object]) -> None:
    """Add what follows from the dataset, and is not said. `meant` has presets with the datasets that they are made for:
    what such a preset says does not hold of another dataset.

    Raises:
        SettingsError: something is missing, and the dataset is not there.
    """
    if values.get("space") is None:
        values["space"] = {}
    space, dataset = values["space"], values.get("dataset")
    if not isinstance(space, dict) or not isinstance(dataset, dict):
        return  # which is refused later, with all other errors
    name, digest = dataset.get("name"), dataset.get("digest")
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        return
    follows = _follows(space.get("family", DEFAULT_FAMILY))
    others = {preset for preset, its_own in meant.items() if its_own not in (None, name)}
    void = {leaf: space.pop(leaf) for leaf in follows if leaf in space and origins.get(f"space.{leaf}") in others}
    missing = [leaf for leaf in follows if leaf not in space]
    if not missing:
        return
    looked = look(name, digest if isinstance(digest, str) else None)
    if looked is None:
        keys = [f"space.{leaf}" for leaf in missing]
        raise SettingsError(
            f"{', '.join(keys)} {'follows' if len(keys) == 1 else 'follow'} from the dataset, but dataset "
            f"{name} is not there (from {origins.get('dataset.name', 'the settings')})",
            hint="--store names the store that has it, or metaqnn-orch dataset push NAME --source DIR --store URI makes"
            " it",
        )
    for leaf in missing:
        origins.pop(f"space.{leaf}", None)
        if (found := follows[leaf](looked.info, void.get(leaf))) is not None:
            space[leaf] = found
            origins[f"space.{leaf}"] = looked.source


def _follows(family: object) -> Mapping[str, Follow]:
    """What follows in a family; nothing where there is none of this name, which is refused later."""
    try:
        found: Mapping[str, Follow] = getattr(SPACES.load(str(family)), "follows", {})
    except PluginError:
        return {}
    return found
