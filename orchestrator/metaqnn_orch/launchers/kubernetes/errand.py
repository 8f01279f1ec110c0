"""Jobs that are not trials: a search inside the cluster, or a dataset made there. Pure.

The release decides what such a Pod looks like; here it gets its image, its way to the store, a name, arguments and
files. The files are annotations of the Pod, which it sees as a volume: they are created and deleted with the Pod, and
no right to any other object is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import BadInput, one_line
from metaqnn_orch.launchers.kubernetes.manifest import ca_mounts, ca_volumes, store_environment
from metaqnn_orch.launchers.kubernetes.merging import merged
from metaqnn_orch.launchers.kubernetes.names import RUN, STORE
from metaqnn_orch.launchers.kubernetes.template import check_template, check_whole, pod_of
from metaqnn_orch.settings.kubernetes import KubernetesSettings

ORCHESTRATOR: Final = "orchestrator"
FILES: Final = "/etc/metaqnn/run"
"""Where an orchestrator's Pod finds its files."""
SETTINGS: Final = "settings.yaml"
JOB_TEMPLATE: Final = "job-template.yaml"
IMAGE: Final = "orchestrator.image"
PULL_POLICY: Final = "orchestrator.image_pull_policy"
ACCOUNT: Final = "orchestrator.service_account"
"""Entries of a release, beside its settings of the trainers."""
MAX_FILES: Final = 200_000  # characters; all annotations of an object may have 262,144 bytes

_ANNOTATIONS: Final = {SETTINGS: "metaqnn/settings", JOB_TEMPLATE: "metaqnn/job-template"}


class PodOfSearch(NamedTuple):
    """Where an orchestrator's Pod runs, and what it finds there."""

    release: str
    """Name of the ConfigMap from which it reads how trials run."""
    image: str
    """Its image; where it is empty, the release's Job form has one."""
    image_pull_policy: str
    service_account: str
    settings: KubernetesSettings
    """Settings of the trainers, beside which it opens the same store."""


def search_job_name(run: str) -> str:
    """Name of the Job that searches. No trial's Job can have this name, because theirs end in a number."""
    return f"{run}-{ORCHESTRATOR}"


def latest(pods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


def exit_code(pods: Sequence[Mapping[str, Any]]) -> int | None:
    """Exit code of the container of the latest Pod; None if it has not ended, or the code is unknown."""
    for container in (latest(pods).get("status") or {}).get("containerStatuses") or () if pods else ():
        code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode")
        if isinstance(code, int):
            return code
    return None


def in_words(pods: Sequence[Mapping[str, Any]]) -> str:
    """The state of the latest Pod, in one line."""
    if not pods:
        return "it has no Pod"
    status = latest(pods).get("status") or {}
    for container in status.get("containerStatuses") or ():
        for state, details in (container.get("state") or {}).items():
            if state == "waiting":
                return one_line(f"{details.get('reason', 'waiting')} {details.get('message', '')}")
            if state == "terminated":
                return one_line(", ".join([f"exit code {details.get('exitCode')}", *_last_words(details)]))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return one_line(f"{condition.get('reason', '')} {condition.get('message', '')}")
    return str(status.get("phase", "Pending")).lower()


def _last_words(details: Mapping[str, Any]) -> list[str]:
    """The last line that a container wrote; and the error before it, where it is only a hint."""
    lines = str(details.get("message") or "").strip().splitlines()
    return lines[-2:] if lines and lines[-1].startswith("hint: ") else lines[-1:]


def search_job(
    template: Mapping[str, Any],
    place: PodOfSearch,
    run: str,
    store: str,
    arguments: Sequence[str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """The Job that runs `metaqnn-orch` with these arguments, for a run in that store.

    Raises:
        BadInput: the template has no orchestrator, nothing names its image, or the files are too long.
    """
    what = "the release's orchestrator-job.yaml"
    form = check_template(template, what, own=ORCHESTRATOR)
    if ORCHESTRATOR not in [container["name"] for container in pod_of(form).get("containers", ())]:
        raise BadInput(f"{what} has no container {ORCHESTRATOR!r}")
    job: dict[str, Any] = merged(form, _placed(place))
    check_whole(job, what)
    pod = job["spec"]["template"]
    (own,) = [container for container in pod["spec"]["containers"] if container["name"] == ORCHESTRATOR]
    if not own.get("image"):
        raise BadInput(f"{what} names no image, and the release has no entry {IMAGE}")
    if sum(len(text.encode()) for text in files.values()) > MAX_FILES:
        raise BadInput(f"settings and Job template together have more than {MAX_FILES} bytes")
    own["args"] = list(arguments)
    annotations = {_ANNOTATIONS[name]: text for name, text in files.items()}
    for holder in (job, pod):
        metadata = holder.setdefault("metadata", {})
        metadata["labels"] = {**metadata.get("labels", {}), RUN: run}
        metadata["annotations"] = {**metadata.get("annotations", {}), STORE: store}
    pod["metadata"]["annotations"].update(annotations)
    job["metadata"]["name"] = search_job_name(run)
    return job


def _placed(place: PodOfSearch) -> dict[str, Any]:
    """What the release's entries say of an orchestrator's Pod, over the form that it has for its Jobs."""
    container = {
        "name": ORCHESTRATOR,
        **({"image": place.image} if place.image else {}),
        **({"imagePullPolicy": place.image_pull_policy} if place.image_pull_policy else {}),
        "env": [{"name": "METAQNN_RELEASE", "value": place.release}, *store_environment(place.settings)],
        "volumeMounts": ca_mounts(place.settings),
    }
    pod = {
        **({"serviceAccountName": place.service_account} if place.service_account else {}),
        "containers": [container],
        "volumes": ca_volumes(place.settings),
    }
    return {"spec": {"template": {"spec": pod}}}
