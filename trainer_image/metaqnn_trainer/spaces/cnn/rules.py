"""A state space as data: every parameter of the paper's Table 1, and of Table A1 (MNIST's own space).

The rules are plain frozen dataclasses, checked when made; the settings are converted to them. Each layer kind adds a
section of its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, field, make_dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from metaqnn_trainer.spaces.cnn.common import CommonRules
from metaqnn_trainer.spaces.cnn.layer import Layer
from metaqnn_trainer.spaces.cnn.registry import kinds, offered, registry

if TYPE_CHECKING:

    class SpaceRules(CommonRules):
        """CommonRules, and a section for each layer kind."""

        def __init__(self, **values: Any) -> None: ...
        def __getattr__(self, section: str) -> Any: ...

else:
    _TERMINATIONS = tuple(name for name, kind in kinds().items() if kind.ends)
    _SECTIONS = [
        (kind.section, type(kind.rules), field(default=kind.rules)) for kind in kinds().values() if kind.section
    ]
    SpaceRules = make_dataclass(
        "SpaceRules",
        [("terminations", tuple[Literal[_TERMINATIONS], ...], field(default=("GAP", "SM"))), *_SECTIONS],
        bases=(CommonRules,),
        namespace={"__module__": __name__, "__doc__": "CommonRules, and a section for each layer kind."},
        frozen=True,
        slots=True,
        kw_only=True,
    )


def recorded(space: dict[str, Any]) -> dict[str, Any]:
    """The rules of a space as JSON, without the sections of kinds that are not the paper's and have no values: so a
    run's identity stays the same when such a kind is installed or removed later.
    """
    silent = {
        kind.section: json.loads(json.dumps(asdict(kind.rules)))
        for kind in kinds().values()
        if kind.section and not kind.paper
    }
    return {name: value for name, value in space.items() if name not in silent or value != silent[name]}


def installed_kinds(rules: SpaceRules) -> dict[str, str]:
    """The layer kinds of installed distributions that nets of a space may have: entry-point group and name, with
    distribution and version.
    """
    return {
        f"{plugin.group}:{plugin.name}": plugin.identity
        for name, kind in kinds().items()
        if (plugin := registry().sources[name]).distribution and _may_have(rules, kind)
    }


def _may_have(rules: SpaceRules, kind: type[Layer]) -> bool:
    if kind.ends:
        return kind.name in rules.terminations
    own = rules.of(kind)
    return own != kind.rules or any(True for _ in offered(kind, own, rules.image_size, rules.classes))


UNSAID: Final[dict[str, Any]] = {"gap_after_fc": True}
"""Rules whose default has changed: what they were when no record named them."""


def unsaid(space: dict[str, Any]) -> dict[str, Any]:
    """The rules that a record does not name because its release did not know them, with the values that they had."""
    return {name: value for name, value in UNSAID.items() if name not in space}
