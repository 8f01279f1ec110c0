"""Laying one Job over another, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from metaqnn_orch.launchers.kubernetes.job_schema import KEYED, identifier

# Mappings that are merged key by key, and the one list that is merged item by item. Every other value is taken whole
# from the upper layer: many values are alternatives, as a volume is either a claim or a directory.
_MERGED: Final = (
    *("", "metadata", "labels", "annotations", "spec", "template", "affinity", "nodeAffinity"),
    *("containers", "securityContext", "resources", "limits", "requests"),
)


def merged(below: Any, above: Any, key: str = "") -> Any:
    """`below` with `above` laid over it; where both say something, `above` wins."""
    if isinstance(below, Mapping) and isinstance(above, Mapping) and key in _MERGED:
        common = {name: merged(below[name], above[name], name) if name in below else above[name] for name in above}
        return {**{name: value for name, value in below.items() if name not in above}, **common}
    if key in KEYED and isinstance(below, Sequence) and isinstance(above, Sequence):
        theirs = {identifier(item, KEYED[key]): item for item in below}
        first = [merged(theirs.pop(identifier(item, KEYED[key]), {}), item, key) for item in above]
        return [*first, *theirs.values()]
    return above


def differences(template: Any, mandatory: Any, place: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    """The places where the template differs from the mandatory fields: the dotted place, and its last part."""
    if isinstance(template, Mapping) and isinstance(mandatory, Mapping) and key in _MERGED:
        for name in (name for name in mandatory if name in template):
            yield from differences(template[name], mandatory[name], f"{place}.{name}".lstrip("."), name)
    elif key in KEYED:
        theirs = {identifier(item, KEYED[key]): item for item in template}
        for item in mandatory:
            if (name := identifier(item, KEYED[key])) in theirs:
                inner = key if key in _MERGED else f"{key}[{name}]"
                yield from differences(theirs[name], item, f"{place}[{name}]", inner)
    elif template != mandatory:
        yield place, key
