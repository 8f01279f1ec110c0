"""The siblings of a result (weights, history, pictures): written, found, checked and read, for both sides.

Each is named by its digest. So two attempts of one trial that do not know of each other overwrite nothing, and a
result's siblings never change. Results of earlier releases have siblings with plain names.
"""

from __future__ import annotations

import hashlib
from typing import Final

from metaqnn_trainer.contract import bounds, keys
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.contract.result import Artifact, TrainingResult
from metaqnn_trainer.store.base import Stat, Store
from metaqnn_trainer.store.errors import ObjectMissing, StoreError

Kind = str
"""The kind of a sibling: `weights`, `history`, or `picture-` and the picture's name."""

PICTURE: Final = "picture-"
_PLAIN_NAMES: Final[dict[Kind, str]] = {"weights": "weights.safetensors", "history": "history.jsonl"}
_READINGS: Final = 2  # reads before an object is called damaged: the transfer may have been
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def plain_name(kind: Kind) -> str:
    """Name of the file for a sibling outside of the store."""
    return _PLAIN_NAMES.get(kind, f"{kind}.png")


def checked_picture(name: str, data: bytes) -> bytes:
    """`data`, if it can be a picture beside a result.

    Raises:
        MessageError: they cannot.
    """
    keys.check_name("picture", name)
    if not data.startswith(_PNG):
        raise MessageError(f"picture {name} is no PNG file")
    if len(data) > bounds.MAX_PICTURE:
        raise MessageError(f"picture {name} has {len(data)} bytes, more than {bounds.MAX_PICTURE}")
    return data


def put(store: Store, run: str, trial: str, kind: Kind, data: bytes) -> Artifact:
    """Write `data`. Returns the entry for it in the result.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    artifact = Artifact(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    store.put(key_of(run, trial, kind, artifact), data)
    return artifact


def key_of(run: str, trial: str, kind: Kind, artifact: Artifact | WeightsRef) -> str:
    """The key under which `put` writes it."""
    if kind.startswith(PICTURE):
        return keys.picture(run, trial, kind.removeprefix(PICTURE), artifact.sha256)
    return (keys.weights if kind == "weights" else keys.history)(run, trial, artifact.sha256)


def named(result: TrainingResult) -> dict[Kind, Artifact]:
    """The siblings that a result names."""
    found: dict[Kind, Artifact | None] = {"weights": result.weights, "history": result.history}
    own = {kind: artifact for kind, artifact in found.items() if artifact is not None}
    return own | {PICTURE + name: artifact for name, artifact in result.pictures.items()}


def locate(store: Store, run: str, trial: str, kind: Kind, artifact: Artifact | WeightsRef) -> str:
    """The key of the artifact, whose size is checked, and its checksum where the store keeps one.

    Raises:
        MessageError: it is missing, or differs from what the result, or the reference, says.
        StoreError: the store does not answer.
    """
    key, (size, sha256) = _found(store, run, trial, kind, artifact)
    if isinstance(artifact, Artifact) and size != artifact.size:
        raise MessageError(f"{key} has {size} bytes, but result.json says {artifact.size}")
    if sha256 not in (None, artifact.sha256):
        raise MessageError(f"{key} does not have the sha256 that result.json says")
    return key


def read(store: Store, run: str, trial: str, kind: Kind, artifact: Artifact | WeightsRef) -> bytes:
    """The artifact's bytes, checked. A damaged artifact is put aside, so that no reader takes it for whole.

    Raises:
        MessageError: it is missing, or differs from what the result, or the reference, says.
        StoreError: the store does not answer.
    """
    key, (size, _) = _found(store, run, trial, kind, artifact)
    most = artifact.size if isinstance(artifact, Artifact) else size
    for _ in range(_READINGS):
        data = store.get(key, most + 1)
        if hashlib.sha256(data).hexdigest() == artifact.sha256:
            return data
    aside, where = keys.damaged(run, trial, key.rpartition("/")[2]), ""
    # A reference may be wrong while the object is right; a result and its siblings, however, were written together.
    if isinstance(artifact, Artifact) and _put_aside(store, key, aside, data):
        where = f"; it was put aside as {aside}"
    raise MessageError(f"{key} ({size} bytes) does not have the sha256 that result.json says{where}")


def _put_aside(store: Store, key: str, aside: str, data: bytes) -> bool:
    """Put the object aside. Returns whether that was possible: a reader may not be allowed to write."""
    try:
        store.put(aside, data)
        store.delete(key)
    except StoreError:
        return False
    return True


def remove(store: Store, run: str, trial: str, kind: Kind, artifact: Artifact) -> None:
    """Remove the object that `put` wrote.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    store.delete(key_of(run, trial, kind, artifact))


def _found(store: Store, run: str, trial: str, kind: Kind, artifact: Artifact | WeightsRef) -> tuple[str, Stat]:
    own = key_of(run, trial, kind, artifact)
    denied: StoreError | None = None
    for key in (own, keys.trial(run, trial) + plain_name(kind)):
        try:
            return key, store.stat(key)
        except ObjectMissing:
            continue
        except StoreError as error:
            if not error.denied:
                raise
            denied = denied or error
    raise denied or MessageError(f"result.json names {own}, which is not there")
