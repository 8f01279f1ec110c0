"""Reads kubeconfigs as kubectl does: the files that KUBECONFIG names, or ~/.kube/config; where two differ, the first
counts.

Every error is one line with the file and what is wrong there. It does not quote the value, which may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from metaqnn_orch.errors import LauncherError, one_line

_HINT: Final = (
    "name a cluster with KUBECONFIG or in ~/.kube/config, and one of its contexts with --context or "
    "execution.kubernetes.context"
)


class KubeconfigEntry(NamedTuple):
    """A cluster, a user or a context of a kubeconfig. Reading a wrong value raises LauncherError."""

    file: Path
    what: str
    """The entry in words, for example: user ada."""
    values: Mapping[str, Any]

    def wrong(self, words: str, hint: str = "") -> LauncherError:
        return LauncherError(f"{self.file}: {self.what}: {one_line(words)}", hint or _HINT)

    def text(self, key: str) -> str:
        """The text under `key`, without white space around it; empty where there is none."""
        value = self.values.get(key)
        if value is None:
            return ""
        if isinstance(value, Mapping | list | bool):
            raise self.wrong(f"{key} is not a text")
        return str(value).strip()

    def flag(self, key: str) -> bool:
        value = self.values.get(key) or False
        if not isinstance(value, bool):
            raise self.wrong(f"{key} is neither true nor false")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key) or []
        if not isinstance(value, list) or any(isinstance(each, Mapping | list) for each in value):
            raise self.wrong(f"{key} is not a list of texts")
        return [str(each) for each in value]

    def inner(self, key: str) -> KubeconfigEntry | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.wrong(f"{key} is not a mapping")
        return KubeconfigEntry(self.file, f"{self.what}, {key}", value)

    def path(self, key: str) -> Path | None:
        """The path under `key`; a relative path starts at the kubeconfig's folder."""
        text = self.text(key)
        return self.file.parent / Path(text).expanduser() if text else None

    def content(self, key: str) -> bytes:
        """The bytes of the file that `key` names, or those under KEY-data; empty where neither is given."""
        if data := self.text(f"{key}-data"):
            try:
                return base64.b64decode("".join(data.split()), validate=True)
            except binascii.Error as error:
                raise self.wrong(f"{key}-data is not base64: {error}") from None
        path = self.path(key)
        return self.read(path, key) if path is not None else b""

    def read(self, path: Path, key: str) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise self.wrong(f"{key} {path}: {error.strerror or error}") from None


class Context(NamedTuple):
    """One context, and the entries that it names."""

    name: str
    own: KubeconfigEntry
    cluster: KubeconfigEntry
    user: KubeconfigEntry
    """The user; an empty entry where the context names none."""

    @property
    def words(self) -> str:
        return f"context {one_line(self.name, 100)} of {self.own.file}"


def files() -> list[Path]:
    """The kubeconfig files that exist."""
    named = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [path for text in named.split(os.pathsep) if text and (path := Path(text).expanduser()).exists()]


def read_context(name: str | None) -> Context:
    """The context of that name, or the current one.

    Raises:
        LauncherError: there is no kubeconfig, or no such context, or an entry of it is wrong.
    """
    read = [(path, found) for path in files() if (found := _read(path))]
    if not read:
        empty = ", ".join(map(str, files()))
        raise LauncherError(f"{empty} is empty" if empty else "there is no kubeconfig", _HINT)
    contexts = _entries(read, "contexts", "context")
    chosen = name or next((str(found["current-context"]) for _, found in read if found.get("current-context")), "")
    there = f"contexts: {one_line(', '.join(contexts))}" if contexts else "there is none"
    where = ", ".join(str(path) for path, _ in read)
    if not chosen:
        raise LauncherError(
            f"{where} names no current context; {there}", "name one: execution.kubernetes.context, or --context"
        )
    if chosen not in contexts:
        raise LauncherError(f"{where} has no context {one_line(chosen, 100)!r}; {there}", _HINT)
    own = contexts[chosen]
    cluster, user = own.text("cluster"), own.text("user")
    clusters, users = _entries(read, "clusters", "cluster"), _entries(read, "users", "user")
    if cluster not in clusters:
        raise own.wrong(f"cluster {cluster} is not in the kubeconfig" if cluster else "it names no cluster")
    if user and user not in users:
        raise own.wrong(f"user {user} is not in the kubeconfig")
    return Context(chosen, own, clusters[cluster], users.get(user, KubeconfigEntry(own.file, "no user", {})))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_bytes()) or {}
    except OSError as error:
        raise LauncherError(f"{path}: {error.strerror or error}", _HINT) from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f" line {mark.line + 1}:" if mark is not None else ""
        raise LauncherError(f"{path}:{place} {one_line(str(problem or 'it is not valid YAML'))}", _HINT) from None
    except (ValueError, RecursionError) as error:  # a date that does not exist, a thousand brackets
        raise LauncherError(f"{path}: it is not YAML: {type(error).__name__}", _HINT) from None
    if not isinstance(found, Mapping):
        raise LauncherError(f"{path} is not a kubeconfig: it is not a mapping", _HINT)
    return found


def _entries(read: list[tuple[Path, Mapping[str, Any]]], plural: str, kind: str) -> dict[str, KubeconfigEntry]:
    """The entries by name, in order."""
    entries: dict[str, KubeconfigEntry] = {}
    for path, found in read:
        named = found.get(plural) or []
        if not isinstance(named, list):
            raise LauncherError(f"{path}: {plural} is not a list", _HINT)
        for each in named:
            if not isinstance(each, Mapping) or not isinstance(each.get(kind) or {}, Mapping) or "name" not in each:
                raise LauncherError(f"{path}: one of its {plural} is not a mapping with a name and a {kind}", _HINT)
            name = str(each["name"])
            entries.setdefault(name, KubeconfigEntry(path, f"{kind} {one_line(name, 100)}", each.get(kind) or {}))
    return entries
