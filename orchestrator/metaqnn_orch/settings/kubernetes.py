"""The settings of trials as Kubernetes Jobs."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field, model_validator

from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.work import MAX_BUNDLE

DNS_LABEL: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
DNS_NAME: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
RESOURCE_NAME: Final = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
BYTES: Final = r"^[0-9]{1,9}(M|G|T|Mi|Gi|Ti)$"
SECRET_KEY: Final = r"^[-._A-Za-z0-9]{1,253}$"
LABEL: Final = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
CONTROLLER: Final = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9][A-Za-z0-9/_.-]*$"
_MIG: Final = re.compile(r".*/mig-([1-7])g\.([0-9]{1,3})gb(\..*)?")


class SecretKeys(Section):
    """The names of the entries in the store's secret. Each entry becomes an environment variable of the trainer:
    AWS_ACCESS_KEY_ID, …"""

    access_key_id: str = Field("AWS_ACCESS_KEY_ID", pattern=SECRET_KEY)
    """Name of the entry with the access key id."""
    secret_access_key: str = Field("AWS_SECRET_ACCESS_KEY", pattern=SECRET_KEY)
    """Name of the entry with the secret access key."""
    session_token: str = Field("AWS_SESSION_TOKEN", pattern=SECRET_KEY)
    """Name of the entry with the session token. The secret need not have one."""


class ResourceClaimSettings(Section):
    """GPUs that are allocated by Kubernetes' dynamic resource allocation. One of the three names says which."""

    device_class: str | None = Field(None, max_length=63, pattern=DNS_NAME)
    """Name of a DeviceClass: each trial gets `count` devices of it. Needs Kubernetes 1.36."""
    template: str | None = Field(None, pattern=DNS_NAME)
    """Name of a ResourceClaimTemplate in the Jobs' namespace: each Pod gets a claim of its own, made from it."""
    claim: str | None = Field(None, pattern=DNS_NAME)
    """Name of a ResourceClaim in the Jobs' namespace, which all Pods share."""
    count: int = Field(1, ge=1, le=64)
    """GPUs that a trial sees through it."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of each of these GPUs that a trial holds, for the budget: 0.25 where four trials share one."""

    @model_validator(mode="after")
    def _says_which(self) -> ResourceClaimSettings:
        given = [one for one in (self.device_class, self.template, self.claim) if one is not None]
        if len(given) != 1:
            raise ValueError("give one of device_class, template and claim")
        return self


class KubernetesSettings(Section):
    """How trials run as Kubernetes Jobs. An administrator can add everything else in a Job template
    (k8s/job-template.yaml)."""

    context: str | None = None
    """Context of the kubeconfig. Default: the current context, or inside a cluster the Pod's own service account."""
    namespace: str | None = Field(None, pattern=DNS_LABEL)
    """Namespace of the Jobs. Default: that of the context, or inside a cluster that of the Pod."""
    image: str | None = Field(None, min_length=1, max_length=500, pattern=r"^[^\s]+$")
    """The trainer's image, preferably by digest. Must be given."""
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When nodes pull the image."""
    service_account: str | None = Field(None, pattern=DNS_NAME)
    """Service account of the trainers, for a cloud's workload identity. A token for the Kubernetes API is never
    mounted."""
    gpus: int = Field(1, ge=0, le=64)
    """GPUs of each trial. 0 trains on CPUs."""
    gpu_resource: str = Field("nvidia.com/gpu", pattern=RESOURCE_NAME)
    """The cluster's resource name for a GPU: nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu, and so on."""
    gpu_share: float | None = Field(None, gt=0, le=1)
    """Share of a GPU that one `gpu_resource` is, for the budget: 0.25 where the cluster shares each GPU between four
    Pods. Default: what the resource's name says (a seventh for nvidia.com/mig-1g.10gb), or else a whole GPU."""
    resource_claims: tuple[ResourceClaimSettings, ...] = Field((), max_length=16)
    """GPUs by dynamic resource allocation, in place of `gpus` and `gpu_resource`."""
    cpu: float = Field(2.0, ge=0.1, le=1024)
    """CPUs of each trial, as request and as limit. The trainer starts as many threads."""
    memory: str = Field("8Gi", pattern=BYTES)
    """Memory of each trial, as request and as limit."""
    shared_memory: str = Field("1Gi", pattern=BYTES)
    """Size of /dev/shm. It counts as memory."""
    ephemeral_storage: str = Field("2Gi", pattern=BYTES)
    """Size of /tmp, and what each trial asks of its node's disk. A Job that makes a dataset downloads it there. 0M is
    for nodes that offer no disk space, as some in containers: nothing is asked, and /tmp has no limit."""
    time_limit_seconds: int = Field(6 * 3600, ge=60)
    """Seconds after which an attempt's Pod is ended, counted from when a node accepts the Pod, so pulling the image is
    included. A Pod with several trials has so long for each. The trainer stops earlier, to deliver its best epoch: by
    `grace_seconds` plus a tenth of this limit (at most ten minutes), but never before half of the limit."""
    grace_seconds: int = Field(60, ge=1, le=3600)
    """Seconds between asking a trainer to stop and killing it."""
    keep_seconds: int = Field(30 * 86_400, ge=3600)
    """Seconds after which the cluster removes a finished Job that no orchestrator has seen. Longer than an orchestrator
    is ever away."""
    store_secret: str | None = Field(None, pattern=DNS_NAME)
    """Secret with the store's credentials."""
    store_secret_keys: SecretKeys = SecretKeys()
    store_endpoint: str | None = Field(None, pattern=r"^https?://[^\s@?#]+$")
    """URL at which Pods reach the store, if it is not AWS."""
    store_region: str | None = Field(None, pattern=r"^[a-z0-9-]+$")
    """Region of the bucket."""
    store_addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Where an address has the bucket's name: in its path, or in the host name (virtual). auto chooses what AWS wants
    for AWS, and path for other stores."""
    store_checksums: Literal["auto", "when_required", "when_supported"] = "auto"
    """Whether checksums are sent with every object. auto means when_supported for AWS, and when_required for other
    stores, because few of them support checksums."""
    store_ca: str | None = Field(None, pattern=DNS_NAME)
    """ConfigMap whose `ca.crt` has the certificates, if the store uses a certificate authority of its own."""
    template: str | None = Field(None, min_length=1)
    """File with a Job template, for everything else: tolerations, node selector, volumes, queue."""
    trials_per_job: int = Field(1, ge=1, le=MAX_BUNDLE)
    """Trials of one Job, which trains them one after another, in one process. More than 1 is for nets that train for
    seconds: starting a Pod then takes longer than training. There are at most `execution.parallel` divided by this many
    Pods, at least one. `finals` and `retrain` always use 1."""
    creates_per_second: float = Field(10.0, gt=0, le=1000)
    """How many Jobs are created in a second, at most. Others use the API server, too."""
    queue: str | None = Field(None, pattern=LABEL)
    """Kueue's LocalQueue for the Jobs. Default: what the template says, or none."""
    queue_priority: str | None = Field(None, pattern=LABEL)
    """Kueue's WorkloadPriorityClass of the run's Jobs. Default: what the template says, or the queue's own."""
    managed_by: str | None = Field(None, max_length=63, pattern=CONTROLLER)
    """Controller that runs the Jobs in place of the cluster's own: kueue.x-k8s.io/multikueue sends them to other
    clusters. A Job keeps it for its life. Needs Kubernetes 1.32."""

    @property
    def devices(self) -> int:
        """GPUs that the trainer finds in its Pod."""
        return sum(one.count for one in self.resource_claims) if self.resource_claims else self.gpus

    @property
    def cards(self) -> float:
        """GPUs that a Job holds while it runs, for the budget; a fraction where it holds a share of one. Without GPUs,
        its one process.
        """
        if self.resource_claims:
            return sum(one.count * one.share for one in self.resource_claims)
        return self.gpus * self._share if self.gpus else 1.0

    @property
    def _share(self) -> float:
        if self.gpu_share is not None:
            return self.gpu_share
        slice_ = _MIG.fullmatch(self.gpu_resource)
        if slice_ is None:
            return 1.0
        # NVIDIA's A30 has 4 slices of 6 GB; every other GPU with MIG that has 7 names them by another size.
        size, memory = int(slice_[1]), int(slice_[2])
        return size / 4 if memory == 6 * size and size in (1, 2, 4) else size / 7
