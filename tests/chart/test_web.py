"""The pages of `metaqnn-orch dashboard` in the cluster: off by default, without rights, behind a token."""

from __future__ import annotations

from typing import Any

import pytest

from metaqnn_orch.dashboard.serving import TOKEN_VARIABLE
from tests.chart.conftest import KITCHEN_SINK, Object, one, refused, sets, template

BUCKET = sets(store__bucket="results", store__existingSecret__name="keys")
ON = [*BUCKET, *sets(dashboard__enabled="true", dashboard__token__existingSecret="page-token")]
NAME = "first-metaqnn-web"


def pod(objects: list[Object]) -> Any:
    return one(objects, "Deployment", NAME)["spec"]["template"]["spec"]


def environment(objects: list[Object]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in pod(objects)["containers"][0]["env"]}


def test_it_is_off_by_default() -> None:
    assert not [thing for thing in template(*BUCKET) if thing["metadata"].get("name") == NAME]


def test_it_has_no_rights_in_the_cluster() -> None:
    objects = template(*ON)
    account = one(objects, "ServiceAccount", NAME)
    assert account["automountServiceAccountToken"] is False
    assert pod(objects)["serviceAccountName"] == NAME
    assert pod(objects)["automountServiceAccountToken"] is False
    bound = [subject for thing in objects if thing["kind"] == "RoleBinding" for subject in thing["subjects"]]
    assert NAME not in [subject["name"] for subject in bound]


def test_the_token_comes_from_a_secret_that_somebody_made() -> None:
    objects = template(*ON)
    wanted = {"secretKeyRef": {"name": "page-token", "key": "token"}}
    assert environment(objects)[TOKEN_VARIABLE]["valueFrom"] == wanted
    assert not [thing for thing in objects if thing["kind"] == "Secret"]
    said = refused(*BUCKET, "--set=dashboard.enabled=true")
    assert "kubectl create secret generic dashboard-token --namespace trials" in said


def test_it_may_have_keys_that_only_read() -> None:
    assert environment(template(*ON))["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "keys"
    own = environment(template(*ON, "--set=dashboard.storeSecret=reading"))
    secrets = {own[name]["valueFrom"]["secretKeyRef"]["name"] for name in own if name.startswith("AWS_")}
    assert secrets == {"reading"}


def test_it_answers_under_the_names_by_which_it_is_reached() -> None:
    arguments = pod(template("--values", KITCHEN_SINK))["containers"][0]["args"]
    assert arguments[:4] == ["dashboard", "--store=s3://results/a/b", "--host=0.0.0.0", "--port=8080"]
    answered = [text.removeprefix("--answer-to=") for text in arguments[4:]]
    domains = ("", ".trials", ".trials.svc", ".trials.svc.cluster.local")
    assert answered == [*(f"{NAME}{domain}" for domain in domains), "runs.example"]


def test_its_pod_is_restricted_and_its_service_leads_to_it() -> None:
    objects = template(*ON)
    container = pod(objects)["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod(objects)["securityContext"]["runAsNonRoot"] is True
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "web"}
    labels = one(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert one(objects, "Service", NAME)["spec"]["selector"].items() <= labels.items()
    policy = one(objects, "NetworkPolicy", NAME)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": "web"}]}]
    limited = one(template("--values", KITCHEN_SINK), "NetworkPolicy", NAME)["spec"]["ingress"]
    assert limited[0]["from"] == [{"namespaceSelector": {"matchLabels": {"ingress": "1"}}}]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set=dashboard.serviceAccount.name=first-metaqnn-orchestrator"], "would have the orchestrator's rights"),
        (["--set=dashboard.serviceAccount.create=false"], "must say which one is there"),
        (["--set=store.bucket="], "must say whose runs are shown"),
    ],
)
def test_what_contradicts_itself_is_refused(more: list[str], words: str) -> None:
    assert words in refused(*ON, *more)
