"""Presets: settings files with a name, built in or from installed packages.

A package of presets is named by an entry point of the group `metaqnn.presets`, as `presets = "their_package.presets"`:
each *.yaml in it is a preset. The entry point's own name does not matter.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from metaqnn_orch.errors import SettingsError, one_line
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.plugins import Group, imported

PACKAGES: Final = Group("metaqnn.presets", package="")
OWN: Final = "metaqnn_orch.presets"
MAX_BYTES: Final = 1 << 16  # characters: a file that names every setting has three kilobytes


class Preset(NamedTuple):
    """One settings file in a package."""

    name: str
    file: Traversable
    identity: str = ""
    """Distribution and version; empty for a built-in preset."""
    package: str = ""
    """The package that has the file."""
    trouble: str = ""
    """Why it is not used, in one line; empty where it is."""

    def read(self) -> str:
        """The preset's text.

        Raises:
            SettingsError: it is no text, or too long.
        """
        try:
            with self.file.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise SettingsError(f"{self} has more than {MAX_BYTES} bytes")
            return data.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self} cannot be read: {one_line(str(error))}") from None

    def __str__(self) -> str:
        return f"preset {self.name}" + (f" of {self.identity}" if self.identity else "")


def presets() -> dict[str, Preset]:
    """All presets, sorted by name; a built-in preset wins over another of its name."""
    return _found()[0]


def unused() -> list[Preset]:
    """Presets whose names were taken; and for each package that cannot be read, one of its entry point's name."""
    return _found()[1]


def troubles() -> list[str]:
    """A line for each of the `unused`."""
    return [preset.trouble for preset in unused()]


def source_of(name: str) -> str:
    """The name of a preset or file, with the distribution of a preset that is installed."""
    found = presets().get(name)
    return f"{name} of {found.identity}" if found is not None and found.identity else name


def suggestion(name: str) -> str:
    """A hint with the existing presets, where the named one does not exist."""
    close = get_close_matches(name, presets(), n=1)
    return (f"did you mean {close[0]}? " if close else "") + "presets: " + ", ".join(presets())


@cache
def _found() -> tuple[dict[str, Preset], list[Preset]]:
    found = {preset.name: preset for preset in _presets_in(OWN)}
    unused: list[Preset] = []
    for package in [*PACKAGES.members().values(), *PACKAGES.refused()]:
        name = package.value.partition(":")[0]
        try:
            theirs = _presets_in(name, package.identity)
        except Exception as error:  # it may also be no package
            cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {one_line(str(error))}"
            what = f"package {package.value} of {package.identity} cannot be loaded: {cause}"
            unused.append(Preset(package.name, Path(), package.identity, name, what))
            continue
        for preset in theirs:
            if (first := found.setdefault(preset.name, preset)) is not preset:
                owner = f"that of {first.identity}" if first.identity else "our own"
                unused.append(preset._replace(trouble=f"{preset} is not used: {owner} has the name"))
    return dict(sorted(found.items())), unused


def _presets_in(package: str, identity: str = "") -> list[Preset]:
    folder = resources.files(imported(package))
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return [Preset(file.name.removesuffix(".yaml"), file, identity, package) for file in files]
