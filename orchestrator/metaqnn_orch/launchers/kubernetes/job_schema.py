"""The schema of a Job: its fields, their types, and which of them exclude each other. Pure.

The fields are in job_schema.json, which is made from the `kubernetes` client's models. This file adds the rules that
the API has and the types do not say.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, Final

from metaqnn_orch.launchers.kubernetes.quantities import QUANTITY

KEYED: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("containers", "initContainers", "volumes", "env", "resourceClaims", "claims"), ("name",)),
    **dict.fromkeys(("imagePullSecrets", "schedulingGates"), ("name",)),
    "hostAliases": ("ip",),
    "ports": ("containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
}
"""Lists whose items are identified by fields: the API's own keys, x-kubernetes-list-map-keys of its OpenAPI."""

# of these, servers take an item twice
_REPEATED: Final = ("imagePullSecrets", "hostAliases", "ports", "topologySpreadConstraints")

# Exactly one, or at most one, of these must be given. For a volume: of every field but its name.
_ONE: Final = {
    "EnvVarSource": ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"),
    "EnvFromSource": ("configMapRef", "secretRef"),
    "Probe": ("exec", "grpc", "httpGet", "tcpSocket"),
    "LifecycleHandler": ("exec", "httpGet", "sleep", "tcpSocket"),
    "VolumeProjection": (
        "clusterTrustBundle",
        "configMap",
        "downwardAPI",
        "podCertificate",
        "secret",
        "serviceAccountToken",
    ),
    "DownwardAPIVolumeFile": ("fieldRef", "resourceFieldRef"),
    "ClusterTrustBundleProjection": ("name", "signerName"),
    "PodResourceClaim": ("resourceClaimName", "resourceClaimTemplateName"),
}
_AT_MOST_ONE: Final = {"EnvVar": ("value", "valueFrom"), "VolumeMount": ("subPath", "subPathExpr")}

_METADATA: Final = ("labels", "annotations")  # the other fields belong to an object, not to a template
_SERVERS: Final = {"Job": ("status",), "PodSpec": ("ephemeralContainers",)}

_LABELS: Final = (("ObjectMeta", "labels"), ("PodSpec", "nodeSelector"), ("LabelSelector", "matchLabels"))
_QUANTITIES: Final = (("EmptyDirVolumeSource", "sizeLimit"), ("ResourceFieldSelector", "divisor"))
_IDENTIFIED: Final = ("Container", "EphemeralContainer", "Volume", "PodResourceClaim")
_INCOMPLETE: Final = ("PodSpec", "JobSpec")  # a template leaves out the fields that every Job gets
_ENVELOPE: Final = {
    "JobSpec": "spec",
    "PodSpec": "spec.template.spec",
    "Container": "an item of spec.template.spec.containers",
}

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_VARIABLE: Final = re.compile(r"[ -<>-~]+")  # printable ASCII without =
_MAX_ANNOTATIONS: Final = 1 << 18  # bytes, of keys and values


class Misfit(Exception):
    """A value that cannot stand at this place in a Job. `str()` is one line with the place."""


def conform(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template without empty keys, and with text where the API expects text.

    Raises:
        Misfit: an unknown field, a wrong type, two fields that exclude each other, an invalid name.
    """
    return _mapping(template, "Job", "")


@cache
def _types() -> Mapping[str, Mapping[str, str]]:
    """Fields by type, from job_schema.json."""
    table: dict[str, dict[str, str]] = json.loads((files(__package__) / "job_schema.json").read_text())
    return table


def _mapping(value: Any, kind: str, place: str) -> dict[str, Any]:
    shown = place or "the template"
    if not isinstance(value, Mapping):
        raise Misfit(f"{shown} is {_a(value)}, but a mapping is needed")
    fields, found = _types()[kind], {}
    for key, inner in value.items():
        if key not in fields:
            raise _unknown(str(key), kind, shown)
        if inner is None:
            continue
        if kind == "ObjectMeta" and key not in _METADATA:
            raise Misfit(f"{place} may have {' and '.join(_METADATA)}, not {key!r}")
        here = f"{place}.{key}".lstrip(".")
        if key in _SERVERS.get(kind, ()):
            raise Misfit(f"{here} may not be in a template: the cluster sets it")
        found[key] = _value(inner, fields[key].rstrip("!"), here, (kind, key))
    if missing := [key for key in fields if fields[key].endswith("!") and key not in found and kind not in _INCOMPLETE]:
        raise Misfit(f"{shown} needs a {missing[0]}")
    _refuse_wrong(found, kind, shown)
    return found


def _value(value: Any, kind: str, place: str, field: tuple[str, str]) -> Any:
    if kind.startswith("list["):
        return _list(value, kind[5:-1], place, field)
    if kind == "dict[str, str]":
        return _texts(value, place, field)
    match kind:
        case "str":
            if field == ("EnvVar", "value") or field in _QUANTITIES:
                value = _text(value, place, exact=field not in _QUANTITIES)
            if isinstance(value, str):
                if field in _QUANTITIES and not QUANTITY.fullmatch(value):
                    raise Misfit(f"{place} is {value[:60]!r}, which is not a quantity like 500m or 4Gi")
                return value
            wanted = "text is needed: put it into quotes" if isinstance(value, (bool, int, float)) else "text is needed"
        case "int":
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
                return value
            octal = isinstance(value, str) and re.fullmatch(r"0[0-7]{1,9}", value)
            wanted = "a whole number is needed" + (f": {value} is octal for {int(value, 8)}" if octal else "")
        case "bool":
            if isinstance(value, bool):
                return value
            wanted = "true or false is needed"
        case "object":  # a port
            if isinstance(value, (int, str)) and not isinstance(value, bool):
                return value
            wanted = "a port is needed, its number or name"
        case _:
            return _mapping(value, kind, place)
    raise Misfit(f"{place} is {_a(value)}, but {wanted}")


def _list(value: Any, kind: str, place: str, field: tuple[str, str]) -> list[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Misfit(f"{place} is {_a(value)}, but a list is needed")
    keys = KEYED.get(field[1], ("name",))
    items, seen = [], set()
    for index, item in enumerate(value):
        name = item.get(keys[0]) if isinstance(item, Mapping) else None
        here = f"{place}[{name if isinstance(name, str) and name else index}]"
        if item is not None:
            items.append(_value(item, kind, here, field))
            if field[1] in KEYED and field[1] not in _REPEATED:
                same = identifier(items[-1], keys)
                if same in seen:
                    raise Misfit(f"{place} has two items with the same {keys[0]}, {same}")
                seen.add(same)
    return items


def identifier(item: Mapping[str, Any], keys: Sequence[str]) -> str:
    """What identifies an item of a KEYED list. A directory has the same identifier with or without a / at its end, and
    a port is one of TCP where nothing else is said.
    """
    if keys == ("mountPath",):
        return posixpath.normpath(str(item["mountPath"]))
    return "/".join(str(item.get(key, "TCP" if key == "protocol" else "")) for key in keys)


def _texts(value: Any, place: str, field: tuple[str, str]) -> dict[str, str]:
    """A mapping of texts: labels, annotations, amounts of resources and the like."""
    if not isinstance(value, Mapping):
        raise Misfit(f"{place} is {_a(value)}, but a mapping is needed")
    amounts = field[1] in ("limits", "requests")
    found = {
        str(key): _text(inner, f"{place}.{key}", exact=not amounts) for key, inner in value.items() if inner is not None
    }
    for key, text in found.items():
        prefix, slash, name = key.rpartition("/")
        if field in _LABELS or field == ("ObjectMeta", "annotations"):
            if not _LABEL.fullmatch(name) or (slash and not (_DNS_NAME.fullmatch(prefix) and len(prefix) <= 253)):
                raise Misfit(f"{place} has the invalid key {_cut(key)}: use at most 63 of A-Z, a-z, 0-9, -, _ and .")
            if field in _LABELS and text and not _LABEL.fullmatch(text):
                raise Misfit(
                    f"{place}.{key} is {_cut(text)}, which is not a valid label: use at most 63 of A-Z, "
                    "a-z, 0-9, -, _ and ."
                )
        elif amounts and not QUANTITY.fullmatch(text):
            raise Misfit(f"{place}.{key} is {_cut(text)}, which is not a quantity like 500m or 4Gi")
    if sum(len(f"{key}{text}".encode(errors="replace")) for key, text in found.items()) > _MAX_ANNOTATIONS:
        raise Misfit(f"{place} has more than {_MAX_ANNOTATIONS} bytes")
    return found


def _text(value: Any, place: str, *, exact: bool) -> Any:
    """Text for a number or a truth value. Where it must be `exact`, a fraction is refused: 1.10 is read as 1.1."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float() if not exact:
            return repr(value)
        case float():
            raise Misfit(
                f"{place} is the number {value!r}, which may have been written in another way: put it into quotes"
            )
        case str():
            return value
    raise Misfit(f"{place} is {_a(value)}, but text is needed")


def _refuse_wrong(found: Mapping[str, Any], kind: str, shown: str) -> None:
    """Refuse what the API refuses in a mapping whose fields have the right types."""
    alternatives = _ONE.get(kind) or _AT_MOST_ONE.get(kind) or ()
    if kind == "Volume":
        alternatives = tuple(key for key in _types()[kind] if key != "name")
    given = [key for key in alternatives if key in found]
    if len(given) > 1:
        raise Misfit(f"{shown} has both {given[0]} and {given[1]}: it may have one of them")
    if alternatives and not given and kind not in _AT_MOST_ONE:
        example = ", as emptyDir: {}" if kind == "Volume" else f": one of {', '.join(alternatives)}"
        raise Misfit(f"{shown} does not say what kind it is{example}")
    if kind in _IDENTIFIED and not _DNS_LABEL.fullmatch(found["name"]):
        raise Misfit(f"{shown}: {_cut(found['name'])} is not a valid name: use at most 63 of a-z, 0-9 and -")
    if kind == "EnvVar" and not _VARIABLE.fullmatch(found["name"]):
        raise Misfit(f"{shown}: {_cut(found['name'])} is not a valid name of a variable")


def _unknown(key: str, kind: str, shown: str) -> Misfit:
    """An unknown field, with the place where it belongs, or the field that was perhaps meant."""
    fields = {name.lower(): name for name in _types()[kind]}
    if kind == "ObjectMeta":
        fields = {name: name for name in _METADATA}
    elsewhere = [place for other, place in _ENVELOPE.items() if key in _types()[other]]
    problem = f"{shown} has no field {_cut(key)}"
    if elsewhere and (kind in _ENVELOPE or kind in ("Job", "PodTemplateSpec")):
        return Misfit(f"{problem}; it belongs to {elsewhere[0]}")
    near = get_close_matches(key.lower(), fields, n=1)
    return Misfit(f"{problem}: did you mean {fields[near[0]]}?" if near else problem)


def _a(value: Any) -> str:
    """A value's type, in words."""
    match value:
        case bool():
            return f"{value}".lower()
        case int() | float():
            return f"the number {value!r}"[:60]
        case str():
            return f"the text {_cut(value)}"
        case Mapping():
            return "a mapping"
        case None:
            return "nothing"
        case Sequence():
            return "a list"
    return f"a {type(value).__name__}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
