"""What follows from values.yaml is what is there."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml
from charts import document

from metaqnn_trainer import __version__
from tests.chart.conftest import CHART, KITCHEN_SINK, ROOT, helm, sets, template
from tests.helm import program

VALUES = (CHART / "values.yaml").read_text()


def test_schema_and_readme_are_those_of_the_values() -> None:
    values = document.read_values(VALUES)
    assert json.loads((CHART / "values.schema.json").read_text()) == document.schema(values), "make chart"
    assert document.DEFAULTS.read_text() == document.defaults(values), "make chart"
    readme = (CHART / "README.md").read_text()
    assert readme == document.documented(readme, values), "make chart"
    assert len(readme.splitlines()) > len(values) > 80


def test_install_yaml_is_the_chart_with_its_defaults() -> None:
    assert (ROOT / "k8s" / "install.yaml").read_text() == document.rendered(program("helm")), "make chart"


def test_a_value_without_documentation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.b has no comment"):
        document.read_values("a:\n  b: 1\n")
    (value,) = document.read_values('# -- One,\n# two.\n# @schema {"minimum": 1}\na: 1\n')
    assert value == ("a", 1, "One, two.", {"type": "integer", "minimum": 1})


def test_one_version_for_chart_and_program() -> None:
    shown = helm("show", "chart", CHART).stdout
    assert f"\nversion: {__version__}\n" in shown
    assert f"\nappVersion: {__version__}\n" in shown


def test_an_installer_may_make_every_kind_that_the_chart_can() -> None:
    """The cluster's tests record which verbs they need; a kind that is new is noticed here."""
    try_out = sets(seaweedfs__enabled="true", store__existingSecret__name="made-up")
    cache = sets(datasetCache__enabled="true", datasetCache__accessMode="ReadWriteOnce")
    rules = yaml.safe_load((ROOT / "k8s" / "installer-role.yaml").read_text())["rules"]
    granted = {
        (group, resource): {*rule["verbs"]}
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for thing in (*template("--values", KITCHEN_SINK), *template(*try_out, *cache)):
        group = thing["apiVersion"].rpartition("/")[0]
        resource = re.sub("ys$", "ies", f"{thing['kind'].lower()}s")
        assert granted.get((group, resource), set()) >= {"create", "get", "patch", "delete"}, (group, resource)


def test_the_overlay_builds() -> None:
    done = subprocess.run([program("kubectl"), "kustomize", ROOT / "k8s"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    assert {thing["metadata"].get("namespace", "trials") for thing in objects} == {"trials"}
    (release,) = [thing for thing in objects if thing["kind"] == "ConfigMap"]
    assert release["data"]["store"] == "s3://my-bucket/metaqnn"
    assert "app.kubernetes.io/managed-by" not in release["metadata"]["labels"], "Helm knows nothing of it"
    endpoint = release["data"]["execution.kubernetes.store_endpoint"]
    for policy in [
        thing for thing in objects if thing["metadata"]["name"] in ("metaqnn-trainer", "metaqnn-orchestrator")
    ]:
        if policy["kind"] == "NetworkPolicy":
            assert str(policy["spec"]["egress"][1]["ports"][0]["port"]) == endpoint.rpartition(":")[2]
    assert release["data"]["execution.kubernetes.gpus"] == "1", "the chart's stays where the overlay says nothing"
    (binding,) = [thing for thing in objects if thing["kind"] == "RoleBinding"]
    assert [subject["namespace"] for subject in binding["subjects"]] == ["trials"]
