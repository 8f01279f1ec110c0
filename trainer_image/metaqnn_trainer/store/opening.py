"""Opens a store by its address: the one place that knows every kind of store."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.store.base import MAX_KEY, Store, check_key
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import AddressError, StoreError
from metaqnn_trainer.store.patient import PatientStore

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FORMS: Final = "a store is a directory (./runs, /data/runs, file:///data/runs) or a bucket (s3://bucket/prefix)"
_MAX_PREFIX: Final = MAX_KEY // 2  # characters of an address: the others are for the keys below it


def open_store(
    uri: str,
    patience: Sequence[float] = (),
    report: Callable[[str], None] = lambda _line: None,
    stop: Callable[[], bool] = lambda: False,
) -> Store:
    """The store that `uri` names. Nothing is created, and the store is not called yet.

    `patience`: the pauses, in seconds, after which a write to a store that is away or full is tried again; `report` is
    called with a line about each. `stop` says whether this process was asked to stop: then it ends soon.

    Raises:
        AddressError: not one of the accepted forms.
        StoreError: boto3 finds no usable configuration.
    """
    store = _plain(uri)
    return PatientStore(store, patience, report, stop) if patience else store


def _plain(uri: str) -> Store:
    if not uri or not uri.isprintable():
        raise AddressError(f"{uri!r} is not a store", _FORMS)
    if uri.startswith("s3://"):
        return _bucket(uri)
    if uri.startswith("file://"):
        return _directory(uri)
    if "://" in uri or _SCHEME.match(uri):
        raise AddressError(f"{_shown(uri)} is not a store", _FORMS)
    try:
        return DirectoryStore(Path(uri).expanduser())
    except RuntimeError:
        raise AddressError(
            f"{_shown(uri)} begins with the home directory of a user that does not exist here", _FORMS
        ) from None


def _directory(uri: str) -> Store:
    host, _, escaped = uri.removeprefix("file://").partition("/")
    path = unquote(escaped)
    if host not in ("", "localhost") or not path.isprintable() or not path or "?" in escaped or "#" in escaped:
        raise AddressError(f"{_shown(uri)} is not a directory of this machine: file:///data/runs has three slashes")
    return DirectoryStore("/" + path)


def _bucket(uri: str) -> Store:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket:
        raise AddressError(
            f"{_shown(uri)} contains more than the name of a bucket",
            "credentials and endpoint come from the environment or from ~/.aws, as for every tool that uses boto3",
        )
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise AddressError(
            f"{bucket[:80]!r} is not a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-', beginning and ending with a "
            "letter or digit",
            _FORMS,
        )
    prefix = prefix.removesuffix("/")
    if prefix:
        try:
            check_key(prefix)
        except StoreError as error:
            raise AddressError(f"the prefix of {_shown(uri)} cannot be used: {error}") from None
        if len(prefix) > _MAX_PREFIX:
            raise AddressError(f"the prefix of {_shown(uri)} has more than {_MAX_PREFIX} characters")
    # boto3 takes a third of a second to import, which a store in a directory does not need.
    from metaqnn_trainer.store.s3 import S3Store

    return S3Store(bucket, prefix)


def _shown(uri: str) -> str:
    """`uri` without a password, cut to a readable length."""
    return repr(one_line(uri, 118))
