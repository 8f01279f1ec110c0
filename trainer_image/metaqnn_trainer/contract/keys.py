"""Names, and the object keys under a store's root. Pure; the store's layout is this file.

datasets/<name>-<digest>.safetensors
runs/<run>/run.json
runs/<run>/imported.csv                  the file that a run began with, if it began with an import
runs/<run>/dataset.json                  the dataset with which such a run went on
runs/<run>/finals.json                   the verdict of a run of finals: its nets on the test images
runs/<run>/holder.json
runs/<run>/partial.json                  the note that the run is being copied here, or removed: it is no run
runs/<run>/queue/<trial>.json            a net that a person put into the search, until the search has taken it
runs/<run>/journal/<sequence>.jsonl
runs/<run>/snapshots/<sequence>.json.gz
runs/<run>/trials/<trial>/{request.json,checkpoint,history-<digest>.jsonl,weights-<digest>.safetensors,result.json}
runs/<run>/trials/<trial>/epochs.jsonl   the epochs so far, while the trial is in training
runs/<run>/trials/<trial>/picture-<name>-<digest>.png
runs/<run>/trials/<trial>/removed.json   the note that the weights were removed on purpose
runs/<run>/trials/bundle-<bundle>.json   the progress of a process that trains several trials
runs/<run>/quarantine/<trial>-{<attempt>.json,weights-<digest>.safetensors,history-<digest>.jsonl}
"""

from __future__ import annotations

import re
from typing import Final

from metaqnn_trainer.contract.errors import MessageError

MAX_NAME: Final = 40  # characters
NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
DIGEST_PATTERN: Final = r"^[0-9a-f]{16}$"  # hexadecimal digits of a dataset object's digest: the first 16 of its sha256
TRIAL_PATTERN: Final = r"^[0-9a-f]{12}$"
BUNDLE_PATTERN: Final = TRIAL_PATTERN

_NAME: Final = re.compile(NAME_PATTERN)


def check_name(what: str, name: str) -> str:
    """`name` itself, if it can name a run or a dataset; it is then valid in a URL, a file system and a Kubernetes
    label.

    Raises:
        MessageError: with the rule.
    """
    if not _NAME.fullmatch(name):
        shown = repr(name if len(name) <= 60 else name[:57] + "...")
        raise MessageError(
            f"{what} {shown} is not a valid name: use 1 to 40 of a-z, 0-9 and '-', with a letter or digit first and "
            "last"
        )
    return name


def dataset(name: str, digest: str) -> str:
    return f"datasets/{name}-{digest}.safetensors"


def datasets(name: str = "") -> str:
    """Prefix of all dataset objects, or of those whose names begin with `name`."""
    return f"datasets/{name}"


def run(name: str) -> str:
    """Prefix of everything that belongs to a run."""
    return f"runs/{name}/"


def run_record(run_name: str) -> str:
    return f"runs/{run_name}/run.json"


def run_imported(run_name: str) -> str:
    return f"runs/{run_name}/imported.csv"


def run_dataset(run_name: str) -> str:
    return f"runs/{run_name}/dataset.json"


def finals(run_name: str) -> str:
    """Key of the verdict on the test images, which is written once."""
    return f"runs/{run_name}/finals.json"


def runs() -> str:
    """Prefix of everything that belongs to any run."""
    return "runs/"


def holder(run_name: str) -> str:
    return f"runs/{run_name}/holder.json"


def partial(run_name: str) -> str:
    """Key of the note that the run is incomplete, because it is being copied or removed."""
    return f"runs/{run_name}/partial.json"


def queue(run_name: str) -> str:
    """Prefix of the nets that people put into the search."""
    return f"runs/{run_name}/queue/"


def queued(run_name: str, trial_id: str) -> str:
    return f"{queue(run_name)}{trial_id}.json"


def refused(run_name: str, name: str) -> str:
    """Key under which an entry of the queue is put aside that cannot be trained; `name` is the last part of its key."""
    return f"runs/{run_name}/quarantine/queue-{name}"


def probes() -> str:
    """Prefix of objects that are written only to learn what the store can do."""
    return "probes/"


def journal(run_name: str) -> str:
    """Prefix of the journal's objects."""
    return f"runs/{run_name}/journal/"


def journal_entry(run_name: str, sequence: int) -> str:
    """Key of the journal's entry `sequence`. Sequences begin at 1; they have nine digits, so that a listing is in
    order.
    """
    return f"runs/{run_name}/journal/{sequence:09d}.jsonl"


def snapshots(run_name: str) -> str:
    """Prefix of the snapshots' objects."""
    return f"runs/{run_name}/snapshots/"


def snapshot(run_name: str, sequence: int) -> str:
    """Key of the snapshot after the journal's entry `sequence`."""
    return f"runs/{run_name}/snapshots/{sequence:09d}.json.gz"


def trial(run_name: str, trial_id: str) -> str:
    """Prefix of everything that belongs to a trial."""
    return f"runs/{run_name}/trials/{trial_id}/"


def trials(run_name: str) -> str:
    """Prefix of all trials' objects."""
    return f"runs/{run_name}/trials/"


def bundle(run_name: str, bundle_id: str) -> str:
    """Key of the progress of a bundle: several trials that one process trains, one after another."""
    return bundles(run_name) + f"{bundle_id}.json"


def bundles(run_name: str) -> str:
    """Prefix of the progress of all bundles."""
    return f"runs/{run_name}/trials/bundle-"


def removed(run_name: str, trial_id: str) -> str:
    """Key of the note that the trial's weights were removed on purpose, so that they are not taken for lost."""
    return trial(run_name, trial_id) + "removed.json"


def request(run_name: str, trial_id: str) -> str:
    return trial(run_name, trial_id) + "request.json"


def result(run_name: str, trial_id: str) -> str:
    return trial(run_name, trial_id) + "result.json"


def history(run_name: str, trial_id: str, sha256: str) -> str:
    """Key of the history; its name has the first 16 hexadecimal digits of the content's sha256. (artifacts.py also
    knows the names of earlier releases.)
    """
    return trial(run_name, trial_id) + f"history-{sha256[:16]}.jsonl"


def weights(run_name: str, trial_id: str, sha256: str) -> str:
    return trial(run_name, trial_id) + f"weights-{sha256[:16]}.safetensors"


def picture(run_name: str, trial_id: str, name: str, sha256: str) -> str:
    return trial(run_name, trial_id) + f"picture-{name}-{sha256[:16]}.png"


def checkpoint(run_name: str, trial_id: str) -> str:
    """Key of the checkpoint, which exists only while the trial has no result."""
    return trial(run_name, trial_id) + "checkpoint"


def epochs(run_name: str, trial_id: str) -> str:
    """Key of the epochs so far, in lines as those of a history. They count only while the trial has no result."""
    return trial(run_name, trial_id) + "epochs.jsonl"


def quarantine(run_name: str, trial_id: str, attempt: int) -> str:
    return f"runs/{run_name}/quarantine/{trial_id}-{attempt}.json"


def damaged(run_name: str, trial_id: str, name: str) -> str:
    """Key under which a damaged sibling of a result is put aside; `name` is the last part of the sibling's key."""
    return f"runs/{run_name}/quarantine/{trial_id}-{name}"
