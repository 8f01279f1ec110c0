"""An administrator's Job template: what it may say, and how it is laid under what we must have. Pure.

Mappings are merged key by key. Of lists whose items have a name (containers, volumes, env; volumeMounts by mountPath)
items of the same name are merged and others are added; any other list is taken whole from whoever has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from metaqnn_orch.errors import BadInput

CONTAINER: Final = "trainer"

_KEYED: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
}
_TOP: Final = ("apiVersion", "kind", "metadata", "spec")
_METADATA: Final = ("labels", "annotations")
_HOST: Final = ("hostNetwork", "hostPID", "hostIPC")  # a trainer that asks for these is no restricted Pod


def check_template(template: Mapping[str, Any], what: str) -> None:
    """
    Raises:
        BadInput: it is no template of a Job; one line with the place.
    """

    def refuse(problem: str) -> BadInput:
        return BadInput(f"{what}: {problem}", hint="k8s/job-template.yaml is one to begin with")

    for key in template:
        if key not in _TOP:
            raise refuse(f"unknown key {key!r} beside {', '.join(_TOP)}")
    if (template.get("apiVersion", "batch/v1"), template.get("kind", "Job")) != ("batch/v1", "Job"):
        raise refuse(f"is a {template.get('apiVersion')} {template.get('kind')}, not a batch/v1 Job")
    pod_template = _mapping(_mapping(template, "spec", refuse), "template", refuse)
    for holder, place in ((template, "metadata"), (pod_template, "spec.template.metadata")):
        for key in _mapping(holder, "metadata", refuse):
            if key not in _METADATA:
                raise refuse(f"{place} may have {' and '.join(_METADATA)}, not {key!r}")
    pod = _mapping(pod_template, "spec", refuse)
    for key in _HOST:
        if pod.get(key):
            raise refuse(f"spec.template.spec.{key} would let trainers out of their sandbox")
    for path, items in _lists(template, ""):
        key = _KEYED[path.rpartition(".")[2]]
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise refuse(f"{path} is not a list")
        names = [item.get(key) if isinstance(item, Mapping) else None for item in items]
        if not all(isinstance(name, str) and name for name in names):
            raise refuse(f"every item of {path} needs a {key}")
        if len(set(names)) < len(names):
            raise refuse(f"{path} has two items of the same {key}")
    for container in pod.get("containers", ()):
        if (container.get("securityContext") or {}).get("privileged"):
            raise refuse(f"container {container['name']!r} is privileged")


def merged(below: Any, above: Any, key: str = "") -> Any:
    """`below` with `above` laid over it; where both say something, `above` wins."""
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        common = {name: merged(below[name], above[name], name) if name in below else above[name] for name in above}
        return {**{name: value for name, value in below.items() if name not in above}, **common}
    if key in _KEYED and isinstance(below, Sequence) and isinstance(above, Sequence):
        by = _KEYED[key]
        theirs = {item[by]: item for item in below}
        first = [merged(theirs.pop(item[by], {}), item) for item in above]
        return [*first, *theirs.values()]
    return above


def overridden(template: Any, mandatory: Any, path: str = "") -> list[str]:
    """Dotted places at which the template says something else than what we must have."""
    if isinstance(template, Mapping) and isinstance(mandatory, Mapping):
        return [
            place
            for key in mandatory
            if key in template
            for place in overridden(template[key], mandatory[key], f"{path}.{key}".lstrip("."))
        ]
    key = path.rpartition(".")[2]
    if key in _KEYED and isinstance(template, Sequence) and isinstance(mandatory, Sequence):
        by = _KEYED[key]
        theirs = {item[by]: item for item in template}
        return [
            place
            for item in mandatory
            if item[by] in theirs
            for place in overridden(theirs[item[by]], item, f"{path}[{item[by]}]")
        ]
    return [] if template == mandatory else [path]


def mounts(template: Mapping[str, Any]) -> list[str]:
    """Where the template mounts volumes into the trainer's container. The template has been checked."""
    pod = template.get("spec", {}).get("template", {}).get("spec", {})
    own = [container for container in pod.get("containers", ()) if container["name"] == CONTAINER]
    return [mount["mountPath"] for container in own for mount in container.get("volumeMounts", ())]


def _mapping(holder: Mapping[str, Any], key: str, refuse: Any) -> Mapping[str, Any]:
    value = holder.get(key, {})
    if not isinstance(value, Mapping):
        raise refuse(f"{key} is not a mapping")
    return value


def _lists(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every list whose items must have names, with its place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            here = f"{path}.{key}".lstrip(".")
            if key in _KEYED:
                yield here, inner
            yield from _lists(inner, here)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _lists(inner, f"{path}[{index}]")
