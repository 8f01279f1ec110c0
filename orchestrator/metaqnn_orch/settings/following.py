"""Settings of the space that follow from the dataset, where nobody says them. Each family declares its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import SettingsError, one_line
from metaqnn_trainer.catalogue import SOURCES
from metaqnn_trainer.contract.dataset import DatasetInfo, known_info
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.keys import NAME_PATTERN
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY, SPACES, Follow


class Looked(NamedTuple):
    """A dataset that was found."""

    source: str
    """Name of the dataset for people, with its digest where it has one."""
    info: DatasetInfo


PLUGINS_HINT: Final = (
    "metaqnn-orch config plugins lists what is installed; `submit` needs it in the orchestrator's image, too"
)

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
    family = str(space.get("family", DEFAULT_FAMILY))
    follows = _follows(family)
    others = {preset for preset, its_own in meant.items() if its_own not in (None, name)}
    void = {leaf: space.pop(leaf) for leaf in follows if leaf in space and origins.get(f"space.{leaf}") in others}
    missing = [leaf for leaf in follows if leaf not in space]
    if not missing:
        return
    looked = look(name, digest if isinstance(digest, str) else None)
    if looked is None:
        raise _absent(name, missing, origins.get("dataset.name", "the settings"))
    for leaf in missing:
        origins.pop(f"space.{leaf}", None)
        if (found := _found(family, follows[leaf], looked, leaf, void.get(leaf))) is not None:
            space[leaf] = found
            origins[f"space.{leaf}"] = looked.source


def _absent(name: str, missing: Sequence[str], source: str) -> SettingsError:
    keys = ", ".join(f"space.{leaf}" for leaf in missing)
    push = name if name in SOURCES.members() else "NAME --source DIR"  # some known ones need files, and say so
    return SettingsError(
        f"{keys} {'follows' if len(missing) == 1 else 'follow'} from the dataset, but dataset {name} is not there "
        f"(from {source})",
        hint=f"--store names the store that has it, or metaqnn-orch dataset push {push} --store URI makes it",
    )


def _found(family: str, follow: Follow, looked: Looked, leaf: str, said: Any) -> Any:
    """
    Raises:
        SettingsError: the family's function of this option raised something.
    """
    try:
        value = follow(looked.info, said)
        json.dumps(value, allow_nan=False)
    except Exception as error:  # a foreign function may raise any exception
        cause = f"{type(error).__name__}: {one_line(str(error))}"
        plugin = SPACES.find(family)
        whose = f" ({plugin})" if plugin.distribution else ""
        what = f"space.{leaf} cannot be found in {looked.source}: {cause}{whose}"
        raise SettingsError(what, f"say it yourself: --set space.{leaf}=VALUE") from error
    return value


def _follows(family: str) -> Mapping[str, Follow]:
    """What follows in a family; nothing where there is none of this name, which is refused later.

    Raises:
        SettingsError: what the family says is no mapping.
    """
    try:
        found: Any = SPACES.load(family).follows
    except PluginError:
        return {}
    if not isinstance(found, Mapping):
        raise SettingsError(f"space.family: {SPACES.find(family)} cannot be used: follows is no mapping", PLUGINS_HINT)
    return found
