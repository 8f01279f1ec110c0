"""The settings that a release of the chart gives to everybody with a kubeconfig: where results go, and how trials run.

Its ConfigMap holds settings by their dotted names. Only the section `execution` counts: how the work is done is the
cluster's decision, and what is searched is the run's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, NamedTuple

from metaqnn_orch.application.assembly import open_cluster
from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.errors import BadInput, ClusterError, LauncherError, NotFound
from metaqnn_orch.launchers.kubernetes import errand
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.sources import SettingsLayer, load_settings
from metaqnn_orch.settings.strict_yaml import parse_mapping, parse_value
from metaqnn_orch.settings.values import known_keys
from metaqnn_trainer import __version__

LABELS: Final = "app.kubernetes.io/name=metaqnn,app.kubernetes.io/component=release"
TEMPLATE: Final = "job-template.yaml"
ORCHESTRATOR: Final = "orchestrator-job.yaml"
_OURS: Final = dict(label.split("=") for label in LABELS.split(","))
_NAME: Final = "app.kubernetes.io/instance"
_BY_HELM: Final = "meta.helm.sh/release-name"
"""Annotation that Helm gives to whatever it installs. What was rendered and applied by something else lacks it."""

# Variables of the AWS SDK for the same setting, the strongest first.
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_MAY_NOT_LOOK: Final = " (these credentials need the permission to list configmaps there)"
_LOCAL_HINT: Final = (
    "to search on this machine, use --store ./runs; to make a release, helm install charts/metaqnn, or kubectl apply "
    "-k k8s"
)


class Release(NamedTuple):
    """One release of the chart, read from its ConfigMap. Helm may have installed it, or anything else."""

    namespace: str
    name: str
    context: str | None
    data: Mapping[str, str]
    words: str
    """Options by which another command finds the same release and the same store."""
    config_map: str
    """Name of its ConfigMap."""
    of_helm: str = ""
    """Name by which Helm knows it; empty if Helm does not."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def in_words(self) -> str:
        """The release, its store and its trainer's image in words, for a person who did not name it."""
        endpoint = self.data.get("external-endpoint") or self.data.get("execution.kubernetes.store_endpoint", "")
        store = (self.data.get("store") or "no store") + (f" at {endpoint}" if endpoint else "")
        return f"{self.source}: {store}, image {self.data.get('execution.kubernetes.image') or 'unknown'}"

    @property
    def source(self) -> str:
        return f"release {self}"

    @property
    def store(self) -> str:
        """The store that the release names.

        Raises:
            BadInput: it names none.
        """
        store = self.data.get("store", "")
        if not store:
            where = (
                f"helm upgrade {self.of_helm} CHART --namespace {self.namespace} --reset-then-reuse-values "
                "--set store.bucket=BUCKET"
                if self.of_helm
                else f"say `store: s3://bucket/prefix` in the ConfigMap {self.config_map}, where this release was "
                "applied from (k8s/overlays/example)"
            )
            raise BadInput(f"{self.source} names no bucket", hint=f"{where}, or --store s3://bucket/prefix here")
        return store

    @property
    def orchestrator_env(self) -> str:
        """Where somebody sets a variable of the orchestrators, in words."""
        if self.of_helm:
            return "orchestrator.env of the release"
        return f"the container {errand.ORCHESTRATOR} of {ORCHESTRATOR} in the ConfigMap {self.config_map}"

    @property
    def asked_inside(self) -> str:
        """The command by which somebody asks from inside the cluster, in words."""
        return "`helm test` asks" if self.of_helm else "a search that is submitted asks"

    def place(self, settings: KubernetesSettings) -> errand.PodOfSearch:
        """Where its orchestrators run, beside trainers with these settings."""
        image, policy, account = (self.data.get(key, "") for key in (errand.IMAGE, errand.PULL_POLICY, errand.ACCOUNT))
        # A release without these entries is older, and so is its image: it looks for the release by its own name.
        name = self.config_map if errand.IMAGE in self.data else self.name
        return errand.PodOfSearch(name, image, policy, account, settings)

    def layer(self) -> SettingsLayer:
        """The release's settings of how the work is done."""
        known = known_keys()
        found = {key: parse_value(text, f"{self.source}: {key}") for key, text in self.data.items() if key in known}
        own = {"execution.kubernetes.namespace": self.namespace, "execution.kubernetes.context": self.context}
        values = {**{key: value for key, value in found.items() if key.startswith("execution.")}, **own}
        return SettingsLayer(self.source, values)

    def kubernetes(self, assignments: Sequence[str] = ()) -> KubernetesSettings:
        """The release's settings of Kubernetes, with these assignments laid over them, and no other source.

        Raises:
            SettingsError: one of them is wrong.
        """
        return load_settings("digits", {}, [*assignments], {}, self.layer()).settings.execution.kubernetes

    def document(self, key: str) -> dict[str, Any]:
        """A mapping that the ConfigMap holds as text.

        Raises:
            SettingsError: the text is no mapping.
        """
        return parse_mapping(self.data.get(key, ""), f"{self.source}: {key}")

    def show_store(self, environment: MutableMapping[str, str]) -> None:
        """Set the environment of the AWS SDK in this process so that it finds the store, unless the environment already
        says where the store is.
        """
        endpoint = self.data.get("external-endpoint") or self.data.get("execution.kubernetes.store_endpoint", "")
        for names, value in (
            (_ENDPOINTS, endpoint),
            (_REGIONS, self.data.get("execution.kubernetes.store_region", "")),
        ):
            if value and not any(environment.get(name) for name in names):
                environment[names[0]] = value


def find_release(wanted: str | None, namespace: str | None, context: str | None, say: Say) -> Release:
    """The release of that name (NAME or NAMESPACE/NAME), wherever these credentials may look; or, where no name is
    given, the only release in the given namespace, or in the kubeconfig's. A release that nobody named is reported
    before it is used.

    Whoever may install a release into any namespace of a shared cluster decides there which store is opened with the
    caller's keys, and which image runs. So a release is not used merely because it is the only one in some other
    namespace, not even where a command only reads: the command would sign requests for a foreign endpoint, and show the
    runs of others as the caller's own.

    Raises:
        BadInput: there is no cluster, no release, or more than one.
        ClusterError: the API does not answer.
    """
    before, slash, name = (wanted or "").rpartition("/")
    if slash and namespace not in (None, before):
        raise BadInput(f"--release {wanted} and --namespace {namespace} name different namespaces")
    namespace = before or namespace
    here, elsewhere, looked = _look(name, namespace, context)
    found = here if name == "" or here else elsewhere
    chosen = [release for release in found if name in ("", release.name, release.config_map)]
    if len(chosen) == 1:
        if not name:
            say(chosen[0].in_words())
        if chosen[0].data.get("version", "") != __version__:
            theirs = chosen[0].data.get("version") or "unknown"
            say(f"{chosen[0].source} has version {theirs}, but this program has {__version__}", Tone.CAUTION)
        return chosen[0]
    names = ", ".join(sorted(map(str, here or elsewhere)))
    if chosen:
        raise BadInput(f"there are {len(chosen)} releases: {names}", hint=f"choose one: --release {chosen[0]}")
    if not here and not elsewhere:
        raise NotFound(f"there is no release of the chart {looked}", hint=_LOCAL_HINT)
    if name:
        raise NotFound(f"there is no release {wanted} {looked}", hint=f"there are: {names}")
    raise NotFound(
        f"there is no release of the chart {looked}, but there are some elsewhere: {names}",
        hint=f"name the one that you mean: --release {elsewhere[0]}",
    )


def _look(name: str, namespace: str | None, context: str | None) -> tuple[list[Release], list[Release], str]:
    """The releases of the namespace; those of all others, if it has none and was not given; and the places that were
    searched, in words. A ConfigMap of that name is enough: an orchestrator in a Pod may read no other.
    """
    try:
        cluster = open_cluster(KubernetesSettings(namespace=namespace, context=context))
    except LauncherError as error:
        raise BadInput(
            f"without --store, a release in a cluster says where the store is, but {error}", _LOCAL_HINT
        ) from None
    from metaqnn_orch.launchers.kubernetes.cluster import Lookup, Resource

    def named() -> list[Release]:
        try:
            found = cluster.look_up(Lookup.CONFIG_MAP, name)
        except ClusterError as error:
            if error.status not in (403, 404):
                raise
            return []
        labels = found.get("metadata", {}).get("labels") or {}
        return [_read(found, context)] if labels.items() >= _OURS.items() else []

    def listed(*, everywhere: bool = False) -> tuple[list[Release], bool]:
        """The existing releases, and whether these credentials may look for them."""
        try:
            found = cluster.list(Resource.CONFIG_MAPS, LABELS, everywhere=everywhere).items
        except ClusterError as error:
            if error.status != 403:
                raise
            return [], False
        return [_read(thing, context) for thing in found], True

    place = f"in namespace {cluster.namespace} of {cluster.server}"
    if name and (one := named()):
        return one, [], place
    here, may_look = listed(everywhere=False)
    if here or namespace is not None:
        refused = "" if may_look else _MAY_NOT_LOOK
        return here, [], place + refused
    elsewhere, may_look_elsewhere = listed(everywhere=True)
    if elsewhere:
        return [], elsewhere, place
    if may_look_elsewhere:
        return [], [], f"in {cluster.server}"
    refused = (
        ", and these credentials may not look in other namespaces: name one with --namespace"
        if may_look
        else _MAY_NOT_LOOK
    )
    return [], [], place + refused


def _read(config_map: Mapping[str, Any], context: str | None) -> Release:
    metadata, data = config_map["metadata"], config_map.get("data") or {}
    name = (metadata.get("labels") or {}).get(_NAME) or metadata["name"]
    where, text = f"{metadata['namespace']}/{name}", {str(key): str(value) for key, value in data.items()}
    of_helm = str((metadata.get("annotations") or {}).get(_BY_HELM) or "")
    return Release(
        str(metadata["namespace"]), str(name), context, text, f"--release {where}", str(metadata["name"]), of_helm
    )


def borrow_keys(release: Release, environment: MutableMapping[str, str]) -> None:
    """Have the AWS SDK of this process use the keys in the release's secret.

    Raises:
        BadInput: there is none, or it lacks a key.
        ClusterError: these credentials may not read it.
    """
    kubernetes = release.kubernetes()
    if kubernetes.store_secret is None:
        raise BadInput(f"{release.source} has no secret for the store: its Pods use an identity of their own")
    from metaqnn_orch.launchers.kubernetes.cluster import Lookup

    secret = open_cluster(kubernetes).look_up(Lookup.SECRET, kubernetes.store_secret).get("data") or {}
    for what, key in kubernetes.store_secret_keys:
        try:
            environment[f"AWS_{what.upper()}"] = base64.b64decode(secret[key], validate=True).decode()
        except KeyError:
            if what != "session_token":
                raise BadInput(f"secret {kubernetes.store_secret} of {release.source} has no {key}") from None
            environment.pop("AWS_SESSION_TOKEN", None)
        except (binascii.Error, UnicodeDecodeError):
            raise BadInput(f"secret {kubernetes.store_secret} of {release.source}: {key} is no text") from None
