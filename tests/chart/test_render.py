"""The chart's objects: held against Kubernetes' own schemas, and one short case for each option."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
import yaml

from metaqnn_orch.application.release import Release
from metaqnn_orch.launchers.kubernetes.errand import search_job
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, manifest
from metaqnn_orch.launchers.kubernetes.rights import RIGHTS
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.sources import in_force, load_settings
from metaqnn_orch.settings.strict_yaml import parse_mapping, parse_value
from metaqnn_orch.settings.values import known_keys, parse_settings
from tests.chart.conftest import CHART, KITCHEN_SINK, MONITORING, Object, helm, one, refused, sets, template
from tests.kubernetes_schemas import validate
from tests.launchers.kubernetes.servers import NEWEST, OLDEST, SERVERS
from tests.launchers.kubernetes.test_manifest import REQUEST, UID

FOREIGN = ("PodMonitor",)  # whose schema is not Kubernetes'
BUCKET = sets(store__bucket="results")
TRY_OUT: Final = sets(seaweedfs__enabled="true", store__existingSecret__name="made-up")


@pytest.fixture(scope="module")
def default() -> list[Object]:
    return template()


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return template("--values", KITCHEN_SINK)


def with_inner(objects: list[Object]) -> Iterator[Object]:
    """The objects, and the Job of a search that is submitted."""
    yield from objects
    yield submitted(objects)


def submitted(objects: list[Object]) -> Object:
    """The Job of a search, as `submit` makes it from what the release says."""
    data = release(objects)
    found = Release("trials", "first", None, data, "", "first-metaqnn")
    place = found.place(settings_of(objects))
    return search_job(
        found.document("orchestrator-job.yaml"), place, "x", data["store"], ["start"], {"settings.yaml": ""}
    )


def release(objects: list[Object]) -> dict[str, str]:
    data: dict[str, str] = one(objects, "ConfigMap", "first-metaqnn")["data"]
    return data


def settings_of(objects: list[Object]) -> KubernetesSettings:
    """The settings that the release gives."""
    keys = {key: parse_value(text, key) for key, text in release(objects).items() if key.startswith("execution.")}
    assert keys.keys() <= set(known_keys())
    space = {"image_size": 8, "channels": 1, "classes": 2}
    values: dict[str, Any] = {"dataset": {"name": "x"}, "space": space}
    for key, value in keys.items():
        *sections, leaf = key.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = value
    return parse_settings(values).execution.kubernetes


def trainer_job(objects: list[Object]) -> Object:
    """The Job of a trial, as the orchestrator makes it from what the release says."""
    text = parse_mapping(release(objects)["job-template.yaml"], "job-template.yaml")
    return manifest(REQUEST, 1, UID, JobForm(release(objects)["store"], settings_of(objects), text))


def pods(objects: list[Object]) -> Iterator[Object]:
    """The specs of all Pods that come of it."""
    for thing in [*with_inner(objects), trainer_job(objects)]:
        if thing["kind"] in ("Job", "StatefulSet"):
            yield thing["spec"]["template"]["spec"]
        elif thing["kind"] == "Pod":
            yield thing["spec"]


@pytest.mark.parametrize("values", [[], ["--values", KITCHEN_SINK], TRY_OUT], ids=str)
def test_lint_finds_nothing(values: list[object]) -> None:
    done = helm("lint", "--strict", CHART, *values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("values", [[], ["--values", KITCHEN_SINK], TRY_OUT], ids=str)
def test_every_object_fits_the_schemas(server: str, values: list[object]) -> None:
    objects = template(*values)
    for thing in [*with_inner(objects), trainer_job(objects)]:
        if thing["kind"] not in FOREIGN:
            validate(thing, server)


def test_what_is_installed_by_default(default: list[Object]) -> None:
    assert sorted((thing["kind"], thing["metadata"]["name"]) for thing in default) == [
        ("ConfigMap", "first-metaqnn"),
        ("NetworkPolicy", "first-metaqnn-dataset"),
        ("NetworkPolicy", "first-metaqnn-orchestrator"),
        ("NetworkPolicy", "first-metaqnn-trainer"),
        ("Pod", "first-metaqnn-doctor"),  # of `helm test` alone
        ("Role", "first-metaqnn-orchestrator"),
        ("RoleBinding", "first-metaqnn-orchestrator"),
        ("ServiceAccount", "first-metaqnn-orchestrator"),
        ("ServiceAccount", "first-metaqnn-trainer"),
    ]
    assert {thing["metadata"]["namespace"] for thing in default} == {"trials"}


def test_the_role_is_what_the_code_asks_for(default: list[Object]) -> None:
    granted = {
        (resource, verb, group)
        for rule in one(default, "Role")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {("configmaps", "get", ""), *((right.full, right.verb, right.group) for right in RIGHTS)}
    assert one(default, "Role")["rules"][-1]["resourceNames"] == ["first-metaqnn"], "its own release alone"
    subjects = one(default, "RoleBinding")["subjects"]
    assert [subject["name"] for subject in subjects] == ["first-metaqnn-orchestrator"], "and nobody else"


def test_every_pod_is_restricted(default: list[Object], everything: list[Object]) -> None:
    for objects in (default, everything, template(*TRY_OUT)):
        for pod in pods(objects):
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                security = container["securityContext"]
                assert security["allowPrivilegeEscalation"] is False
                assert security["capabilities"] == {"drop": ["ALL"]}
                assert security["readOnlyRootFilesystem"] is True


def test_only_an_orchestrator_has_a_token(everything: list[Object]) -> None:
    for account in [thing for thing in everything if thing["kind"] == "ServiceAccount"]:
        assert account["automountServiceAccountToken"] is False
    for pod in pods(everything):
        orchestrator = pod["containers"][0]["name"] == "orchestrator"
        assert pod["automountServiceAccountToken"] is orchestrator
        assert pod["serviceAccountName"] == ("searcher" if orchestrator else "first-metaqnn-trainer")


def test_settings_of_everything(everything: list[Object]) -> None:
    assert settings_of(everything).model_dump(exclude_defaults=True) == {
        "image": "registry.example/trainer@sha256:" + "ab" * 32,
        "service_account": "first-metaqnn-trainer",
        "gpus": 2,
        "gpu_resource": "nvidia.com/mig-1g.10gb",
        "cpu": 3.5,
        "memory": "24Gi",
        "keep_seconds": 31536000,
        "store_secret": "keys",
        "store_secret_keys": {"access_key_id": "id", "secret_access_key": "key", "session_token": "token"},
        "store_endpoint": "https://store.example:9000",
        "store_region": "eu-west-1",
        "store_addressing_style": "virtual",
        "store_checksums": "when_supported",
        "queue": "trials",
        "queue_priority": "low",
        "gpu_share": 0.5,
    }
    data = release(everything)
    assert (data["store"], data["external-endpoint"]) == ("s3://results/a/b", "https://store.example")
    assert data["execution.parallel"] == "16"


def test_a_fraction_of_a_processor_on_the_command_line() -> None:
    assert settings_of(template(*sets(trainer__cpu="0.5"))).cpu == 0.5, "which helm reads as text"


def test_jobs_of_another_controller() -> None:
    managed = trainer_job(template(*sets(kueue__queue="trials", kueue__managedBy="kueue.x-k8s.io/multikueue")))
    assert managed["spec"]["managedBy"] == "kueue.x-k8s.io/multikueue"


def test_cards_by_claims() -> None:
    claims = '[{"device_class": "gpu.example.com", "count": 2}, {"template": "one", "share": 0.25}]'
    objects = template("--set-json", f"trainer.gpu.claims={claims}")
    found = settings_of(objects)
    assert (found.devices, found.cards) == (3, 2.25)
    (container,) = trainer_job(objects)["spec"]["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    (role,) = [one for one in objects if one["kind"] == "Role"]
    assert ["resourceclaimtemplates", "resourceclaims"] in [rule["resources"] for rule in role["rules"]]


def test_a_trial_of_everything(everything: list[Object]) -> None:
    job = trainer_job(everything)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "trials"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "low"
    assert job["spec"]["template"]["metadata"]["labels"].items() >= {"cost-centre": "12", "team": "vision"}.items()
    assert job["spec"]["template"]["metadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"
    }
    assert pod["securityContext"]["runAsUser"] == 1000710000
    assert [pod[key] for key in ("priorityClassName", "runtimeClassName", "nodeSelector")] == [
        "low",
        "nvidia",
        {"pool": "gpu"},
    ]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert pod["initContainers"][0]["name"] == "sidecar"
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert values["AWS_CA_BUNDLE"] == "/etc/metaqnn/ca/bundle.pem"
    assert values["METAQNN_DATASET_CACHE"] == "/var/cache/metaqnn"
    assert values["HTTPS_PROXY"] == "http://proxy.example:3128"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]} == {"tmp", "shm", "ca", "datasets", "scratch"}


def test_orchestrators_of_everything(everything: list[Object]) -> None:
    inner = submitted(everything)
    search = one(everything, "Job")
    test = one(everything, "Pod")["spec"]
    pod = search["spec"]["template"]["spec"]
    assert pod["containers"][0].pop("args") == ["start", "/etc/metaqnn/run/settings.yaml", "--run", "nightly"]
    assert test["containers"][0].pop("args") == ["doctor", "digits"]
    assert pod["containers"][0]["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    own = inner["spec"]["template"]["spec"]
    assert own["containers"][0].pop("args") == ["start"]
    for spec in (pod, test, own):
        spec["containers"][0].pop("livenessProbe", None)
        spec["containers"][0]["env"].sort(key=lambda entry: entry["name"])
        assert spec == pod, "however a search gets into the cluster, its Pod is the same"
    mine, theirs = ({**thing["spec"], "template": None} for thing in (inner, search))
    assert mine == theirs
    annotations = search["spec"]["template"]["metadata"]["annotations"]
    assert yaml.safe_load(annotations["metaqnn/settings"]) == {"preset": "cifar10", "schedule": {"total": 50}}
    assert annotations["c"] == "d"
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert ports == {"metrics": 9090, "health": 8081}
    environment = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    assert environment["METAQNN_RELEASE"]["value"] == "first-metaqnn"
    assert environment["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"] == {"name": "keys", "key": "id"}


def test_a_null_in_the_values_reaches_the_settings_of_the_search(tmp_path: Path) -> None:
    says = sets(store__bucket="results", search__enabled="true", search__run="first", search__settings__preset="digits")
    (tmp_path / "values.yaml").write_text("search: {settings: {objective: null}}\n")
    for null in (["--set=search.settings.objective=null"], ["--values", str(tmp_path / "values.yaml")]):
        pod = one(template(*says, *null), "Job")["spec"]["template"]
        text = pod["metadata"]["annotations"]["metaqnn/settings"]
        assert yaml.safe_load(text) == {"objective": None, "preset": "digits"}
        (tmp_path / "settings.yaml").write_text(text)
        found = load_settings(str(tmp_path / "settings.yaml"), {}, [], {})
        assert in_force(found)["objective.soft_limits"]["origin"] == str(tmp_path / "settings.yaml")


def test_trainer_and_orchestrator_speak_to_the_store_alike(everything: list[Object], default: list[Object]) -> None:
    found = [
        {
            entry["name"]: entry.get("value") or entry["valueFrom"]
            for entry in pod["containers"][0]["env"]
            if entry["name"].startswith(("AWS_", "METAQNN_S3_"))
        }
        for pod in pods(everything)
        if pod["containers"][0]["name"] in ("trainer", "orchestrator")
    ]
    assert len(found) > 2
    assert all(environment == found[0] for environment in found)
    assert (
        found[0].items()
        >= {
            "AWS_CA_BUNDLE": "/etc/metaqnn/ca/bundle.pem",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported",
            "METAQNN_S3_ADDRESSING_STYLE": "virtual",
        }.items()
    )
    for pod in pods(default):
        assert not [entry for entry in pod["containers"][0]["env"] if entry["name"].startswith("METAQNN_S3_")]


def test_a_changed_search_is_another_job() -> None:
    search = sets(search__enabled="true", search__run="nightly", search__settings__preset="digits")
    names = [
        one(template(*BUCKET, *search, *more), "Job")["metadata"]["name"]
        for more in ([], [], sets(commonLabels__a="b"), sets(orchestrator__image__tag="v2"))
    ]
    assert names[0] == names[1] == names[2] != names[3]


def test_network_policies() -> None:
    def egress(*values: str) -> list[Any]:
        spec = one(template(*values), "NetworkPolicy", "first-metaqnn-trainer")["spec"]
        assert spec["ingress"] == []
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        names, *store = spec["egress"]
        assert {port["port"] for port in names["ports"]} == {53}
        return list(store)

    def of_orchestrators(*values: str) -> list[Any]:
        spec = one(template(*values), "NetworkPolicy", "first-metaqnn-orchestrator")["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        return list(spec["egress"])

    names, store, api = of_orchestrators()
    assert names["to"][0] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    assert store == egress()[0], "as the trainers'"
    assert api == {"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]}
    more = ["--set-json=networkPolicy.orchestrator.egress=[{}]", "--set-json=networkPolicy.nameServers.ports=[5353]"]
    assert of_orchestrators(*more)[-1] == {}
    assert {port["port"] for port in of_orchestrators(*more)[0]["ports"]} == {5353}
    (aws,) = egress()
    assert aws["ports"] == [{"protocol": "TCP", "port": 443}]
    assert aws["to"][0]["ipBlock"] == {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}
    (identity,) = egress(*sets(store__cloudIdentity="true"))
    assert "except" not in identity["to"][0]["ipBlock"]
    assert {port["port"] for port in identity["ports"]} == {443, 80, 988}
    for url, port in {"http://10.0.0.7:8333": 8333, "http://store.example": 80, "https://[fd00::7]:9000": 9000}.items():
        (clone,) = egress(*sets(store__endpoint=url))
        assert clone["ports"] == [{"protocol": "TCP", "port": port}]
    for url in ("http://store:9000", "http://store.other.svc:9000", "http://store.other.svc.cluster.local"):
        assert egress(*sets(store__endpoint=url)) == [{"to": [{"namespaceSelector": {}}]}]
    (weed,) = egress(*TRY_OUT)
    assert weed["ports"] == [{"protocol": "TCP", "port": 8333}]
    assert weed["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "seaweedfs"
    (told,) = egress("--values", str(KITCHEN_SINK))
    assert told == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"protocol": "TCP", "port": 9000}]}
    assert [t for t in template(*sets(networkPolicy__enabled="false")) if t["kind"] == "NetworkPolicy"] == []


def test_the_policies_choose_the_pods(everything: list[Object]) -> None:
    def chosen(policy: str) -> dict[str, str]:
        spec = one(everything, "NetworkPolicy", f"first-metaqnn-{policy}")["spec"]
        labels: dict[str, str] = spec["podSelector"]["matchLabels"]
        return labels

    def labels(job: Object) -> dict[str, str]:
        found: dict[str, str] = job["spec"]["template"]["metadata"]["labels"]
        return found

    assert chosen("trainer").items() <= labels(trainer_job(everything)).items()
    assert chosen("orchestrator").items() <= labels(one(everything, "Job")).items()
    monitor = one(everything, "PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels(one(everything, "Job")).items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_an_object_store_for_trying_out() -> None:
    objects = template(*TRY_OUT)
    assert release(objects)["store"] == "s3://metaqnn/metaqnn"
    found = settings_of(objects)
    assert found.store_endpoint == "http://first-metaqnn-seaweedfs.trials.svc:8333"
    assert one(objects, "Service")["metadata"]["name"] == "first-metaqnn-seaweedfs"
    assert found.store_secret == "made-up"
    (container,) = one(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert {entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"]} == {"made-up"}


def test_labels_of_others_do_not_replace_ours(default: list[Object]) -> None:
    other = [r"--set=commonLabels.app\.kubernetes\.io/component=theirs", "--set=commonLabels.team=vision"]
    mine = [r"--set=orchestrator.podLabels.app\.kubernetes\.io/name=theirs"]
    objects = template(*other, *mine)
    for before, after in zip(default, objects, strict=True):
        assert after["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "vision"}
    job = submitted(objects)
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "metaqnn"


def test_names() -> None:
    for name, wanted in {"first": "first-metaqnn", "metaqnn": "metaqnn", "my-metaqnn": "my-metaqnn"}.items():
        assert one(template(name=name), "Role")["metadata"]["name"] == f"{wanted}-orchestrator"
    names = [t["metadata"]["name"] for t in template("--values", KITCHEN_SINK, name="n" * 53)]
    assert max(map(len, names)) <= 63
    assert {t["metadata"]["name"].startswith("other") for t in template(*sets(fullnameOverride="other"))} == {True}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (sets(store__cloudIdentity="true", store__existingSecret__name="a"), "not both"),
        (sets(store__caBundle__configMap="a", store__caBundle__secret="b"), "the certificates come from one of them"),
        (sets(seaweedfs__enabled="true", store__endpoint="http://a"), "but store.endpoint names another"),
        (sets(seaweedfs__enabled="true"), "kubectl create secret generic store-keys --namespace trials"),
        (sets(seaweedfs__enabled="true"), "kubectl annotate secret first-metaqnn-seaweedfs --namespace trials helm.sh"),
        (sets(seaweedfs__enabled="true", store__cloudIdentity="true"), "but store.cloudIdentity names another"),
        (sets(store__externalEndpoint="http://a"), "store.endpoint does not say how Pods do"),
        (sets(trainer__image__tag="a", trainer__image__digest="sha256:" + "0" * 64), "trainer.image.tag and"),
        (
            sets(orchestrator__image__tag="a", orchestrator__image__digest="sha256:" + "0" * 64),
            "orchestrator.image.tag",
        ),
        (sets(trainer__serviceAccount__create="false"), "trainer.serviceAccount.name must say which one is there"),
        (sets(trainer__serviceAccount__name="a", orchestrator__serviceAccount__name="a"), "the orchestrator's rights"),
        (sets(rbac__researchersReadStoreSecret="true"), "there is no secret to read"),
        (
            sets(rbac__researchersReadStoreSecret="true", store__existingSecret__name="a"),
            "rbac.researchers names nobody",
        ),
        (sets(kueue__priorityClass="a"), "no meaning without kueue.queue"),
        ([r"--set=resourceQuota.requests\.nvidia\.com/gpu=0"], "none would ever start"),
        (sets(search__enabled="true"), "search.run must name the run"),
        (sets(search__enabled="true", search__run="a", search__settings__preset="digits"), "store.bucket must say"),
        (sets(metrics__podMonitor__enabled="true"), "without metrics.enabled=true"),
        (sets(metrics__enabled="true", metrics__podMonitor__enabled="true"), "install the Prometheus Operator first"),
        (sets(datasetCache__existingClaim="a", datasetCache__storageClassName="b"), "unset one"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, list) else "",
)
def test_contradictions(values: list[str], sentence: str) -> None:
    assert sentence in refused(*values)


@pytest.mark.parametrize(
    "values",
    [
        sets(trainer__gpus="1"),
        sets(store__existingSecret__accesKeyIdKey="a"),
        sets(unknown="1"),
        sets(store__bucket="My_Bucket"),
        sets(trainer__gpu__count="-1"),
        sets(trainer__image__pullPolicy="Sometimes"),
        sets(store__endpoint="store.example"),
        sets(trainer__memory="lots"),
        sets(trainer__cpu="500m"),
    ],
    ids=str,
)
def test_the_schema_refuses(values: list[str]) -> None:
    assert "values don't meet the specifications of the schema" in refused(*values)


TEXTS = (
    "commonLabels",
    *(f"trainer.{key}" for key in ("labels", "podAnnotations", "nodeSelector", "serviceAccount.annotations")),
    *(f"orchestrator.{key}" for key in ("podLabels", "podAnnotations", "nodeSelector", "serviceAccount.annotations")),
    *(f"metrics.{key}" for key in ("podMonitor.labels", "dashboard.labels", "dashboard.annotations")),
)


@pytest.mark.parametrize("key", [*(f"{key}.a" for key in TEXTS), "trainer.env[0].value", "orchestrator.env[0].value"])
def test_numbers_are_no_text(key: str) -> None:
    """Kubernetes has text there, and 1.10 could not be told from 1.1: it is refused by name, before it is anywhere."""
    name = "--set=" + key.replace("value", "name") + "=A" if key.endswith("value") else "--set=store.region=a"
    for value in ("42", "true", "1.10"):
        said = refused(name, f"--set-json={key}={value}")
        assert key.replace(".", "/").replace("[0]", "/0") in said
        assert "want string" in said
    assert template(name, f"--set-string={key}=42")


def test_notes_end_with_the_next_command() -> None:
    def notes(*values: str) -> str:
        done = helm("install", "first", CHART, "--namespace=trials", "--dry-run=client", *values)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2].rstrip()

    nowhere = notes()
    assert nowhere.endswith(
        "helm upgrade --namespace trials first CHART --reset-then-reuse-values --set store.bucket=BUCKET"
    )
    assert "those that `make images` builds" in nowhere
    assert notes(*BUCKET).endswith("metaqnn-orch start cifar10 --run first --release trials/first")
    assert "port-forward --namespace trials service/first-metaqnn-seaweedfs" in notes(*TRY_OUT)
    pages = notes(*BUCKET, *sets(dashboard__enabled="true", dashboard__token__existingSecret="page"))
    assert "http://localhost:8080/?token=TOKEN with the token in secret page:" in pages
    assert "port-forward --namespace trials service/first-metaqnn-web 8080" in pages
    search = sets(search__enabled="true", search__run="nightly", search__settings__preset="digits")
    assert notes(*BUCKET, *search).endswith("metaqnn-orch attach nightly --release trials/first")
    assert re.search(r"helm test --namespace trials first", nowhere)


def test_the_oldest_server() -> None:
    chart = Path(CHART / "Chart.yaml").read_text()
    assert chart.count(f">={OLDEST}.0-0") == 1
    assert f"tested on {OLDEST} and {NEWEST}" in chart
    assert "incompatible" in refused("--kube-version=1.27.0")
    assert template("--kube-version=1.28.0")


def test_nothing_is_made_up_while_rendering() -> None:
    """A difference that nobody made would be applied again and again by whoever compares what is rendered."""
    for values in ([], ["--values", KITCHEN_SINK], TRY_OUT):
        first, second = (helm("template", "first", CHART, "--namespace=trials", MONITORING, *values) for _ in range(2))
        assert first.returncode == 0, first.stderr
        assert first.stdout == second.stdout
    assert not [thing for thing in template(*TRY_OUT) if thing["kind"] == "Secret"]


def test_another_registry_for_all_images() -> None:
    objects = template(*TRY_OUT, *sets(global__imageRegistry="mirror.example:5000/ml"))
    images = {container["image"] for pod in pods(objects) for container in pod["containers"]}
    assert images == {
        "mirror.example:5000/ml/metaqnn-trainer:0.1.0",
        "mirror.example:5000/ml/metaqnn-orchestrator:0.1.0",
        "mirror.example:5000/ml/chrislusf/seaweedfs:4.48",
    }


def test_no_pod_fills_the_disk_of_its_node(default: list[Object], everything: list[Object]) -> None:
    for objects in (default, everything, template(*TRY_OUT)):
        for pod in pods(objects):
            for volume in pod["volumes"]:
                if "emptyDir" in volume and volume["name"] != "scratch":  # which is the user's
                    assert volume["emptyDir"]["sizeLimit"], volume
            assert "ephemeral-storage" in pod["containers"][0]["resources"]["requests"]


def test_the_icon_is_a_picture() -> None:
    kind, _, text = helm("show", "chart", CHART).stdout.partition("icon: ")[2].split("\n")[0].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert ElementTree.fromstring(base64.b64decode(text)).tag.endswith("}svg")


def test_the_program_knows_every_variable_of_its_pod(everything: list[Object]) -> None:
    environment = {entry["name"]: entry.get("value", "") for entry in pods_environment(everything)}
    assert {"METAQNN_HEALTH_PORT", "METAQNN_METRICS_PORT", "METAQNN_RELEASE"} <= environment.keys()
    load_settings("digits", environment, [], {})


def pods_environment(objects: list[Object]) -> list[dict[str, Any]]:
    (container,) = one(objects, "Job")["spec"]["template"]["spec"]["containers"]
    return list(container["env"])
