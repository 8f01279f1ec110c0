"""Installing on a real cluster: without Helm, and with Helm as somebody who has just the rights that the docs list."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHART, ROOT
from tests.cli.conftest import TINY, Cli, cli, own_environment
from tests.cluster.real import IMAGE, ORCHESTRATOR, needs_address, needs_cluster, needs_image, needs_orchestrator
from tests.cluster.recording import Asked, recorded
from tests.cluster.test_chart import World, ended, world
from tests.helm import program

__all__ = ["cli", "own_environment", "world"]
pytestmark = [
    needs_cluster,
    needs_image,
    needs_address,
    needs_orchestrator,
    pytest.mark.usefixtures("own_environment"),
    pytest.mark.timeout(900),
]
INSTALLER = ROOT / "k8s" / "installer-role.yaml"
# Everything that makes an object of another kind. A PodMonitor needs a definition that is not the namespace's.
OPTIONS = (
    *("--set=resourceQuota.pods=50", '--set-json=limitRange=[{"type": "Container"}]'),
    *("--set=datasetCache.enabled=true", "--set=datasetCache.accessMode=ReadWriteOnce"),
    *("--set=metrics.enabled=true", "--set=metrics.dashboard.enabled=true"),
    *("--set=rbac.researchersReadStoreSecret=true", '--set-json=rbac.researchers=[{"kind": "User", "name": "ada"}]'),
    *("--set=dashboard.enabled=true", "--set=dashboard.token.existingSecret=page-token"),
    *("--set=search.enabled=true", "--set=search.run=mine", "--set=search.settings.preset=digits"),
)
TRY_OUT = ("--set=seaweedfs.enabled=true", "--set=store.endpoint=null")


def test_without_helm(world: World, cli: Cli, tmp_path: Path) -> None:
    """What the overlay says is all that is said: doctor, start and submit need nothing more."""
    place = tmp_path / "k8s"
    shutil.copytree(ROOT / "k8s", place)
    name, port = world.real.name, world.server.endpoint.rpartition(":")[2]
    example = place / "overlays" / "example"
    for file in example.iterdir():
        text = file.read_text().replace("trials", name).replace("my-bucket-keys", "keys").replace("9000", port)
        text = text.replace("s3://my-bucket/", f"s3://{world.server.bucket}/")
        text = text.replace(f"https://store.example:{port}", world.server.endpoint)
        text = text.replace("registry.example/metaqnn-trainer:0.1.0", IMAGE)
        file.write_text(text.replace("registry.example/metaqnn-orchestrator:0.1.0", ORCHESTRATOR))
    here = yaml.safe_load((example / "release.yaml").read_text())
    here["data"] |= {  # of this cluster, which has no GPU
        "execution.kubernetes.gpus": "0",
        "execution.kubernetes.ephemeral_storage": "0M",
        "execution.kubernetes.cpu": "0.5",
        "execution.kubernetes.memory": "2Gi",
        "execution.kubernetes.store_secret_keys.access_key_id": "id",
        "execution.kubernetes.store_secret_keys.secret_access_key": "secret",
    }
    (example / "release.yaml").write_text(yaml.safe_dump(here))
    install = place / "install.yaml"  # a node in a container has no disk of its own to offer
    install.write_text(
        install.read_text().replace("ephemeral-storage: 256Mi", "ephemeral-storage: 0").replace("cpu: 250m", "cpu: 0")
    )
    done = subprocess.run([program("kubectl"), "apply", "-k", place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    release = f"--release={name}/metaqnn"
    seen = cli("doctor", "digits", release)
    assert "✗" not in seen.out, seen.out
    ended(cli("start", *TINY, "--run=outside", "--max-trials=1", release))
    ended(cli("submit", *TINY, "--run=inside", "--max-trials=2", release))
    ended(cli("attach", "inside", release))
    assert cli("status", "inside", release, "-o", "json").json()["unique"] == 2


def kubeconfig(path: Path, server: str, namespace: str, token: str = "") -> Path:
    """A file that names one server; with a token, that of the real one, whose certificates are known."""
    cluster: dict[str, Any] = {"server": server}
    if token:
        cluster = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "one", "cluster": cluster}],
                "users": [{"name": "one", "user": {"token": token} if token else {}}],
                "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one", "namespace": namespace}}],
                "current-context": "one",
            }
        )
    )
    return path


def cycle(world: World, config: Path) -> None:
    """Install, test, upgrade, go back, and uninstall, with every option."""
    where = f"--kubeconfig={config}"
    values = ("--values", str(world.values))
    world.helm(f"install first {CHART}", *values, where)
    world.helm("test first", "--logs", "--timeout=3m", where)
    world.helm(f"upgrade first {CHART}", *values, *OPTIONS, where)
    world.helm(f"upgrade first {CHART}", *values, *TRY_OUT, where)
    world.helm("rollback first 1", where)
    world.helm("status first", where)
    world.helm(f"upgrade first {CHART}", *values, *OPTIONS, *TRY_OUT, where)
    world.helm("uninstall first", "--wait", where)


def listed() -> set[Asked]:
    role = yaml.safe_load(INSTALLER.read_text())
    return {
        Asked(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def granted() -> set[Asked]:
    """The rights that the chart grants, which nobody may grant who has them not."""
    text = subprocess.run(
        [program("helm"), "template", "first", CHART, '--set-json=rbac.researchers=[{"kind": "User"}]'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        Asked(group, resource, verb)
        for thing in yaml.safe_load_all(text)
        if thing and thing["kind"] == "Role"
        for rule in thing["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_rights_of_an_installer_are_those_that_helm_uses(world: World, tmp_path: Path) -> None:
    with recorded() as (server, asked):
        cycle(world, kubeconfig(tmp_path / "recorded", server, world.real.name))
    # Whoever makes an object by a patch must be allowed to create it.
    made = {right._replace(verb="create") for right in asked if right.verb == "patch"}
    foreign = {right for right in listed() if right.group == "monitoring.coreos.com"}
    used, mine = asked | made | granted(), listed() - foreign
    assert used <= mine
    # Helm waits for the end of all kinds alike; what is gone before it looks is neither listed nor watched.
    assert {right for right in mine - used if right.verb not in ("list", "watch")} == set()
    assert {right.verb for right in asked} >= {"list", "watch"}


def test_these_rights_suffice_and_none_is_spare(world: World, tmp_path: Path) -> None:
    def account(rules: list[dict[str, Any]]) -> Path:
        role = yaml.safe_load(INSTALLER.read_text()) | {"rules": rules}
        role["metadata"] = {"name": "installer", "namespace": world.real.name}
        bound = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "installer", "namespace": world.real.name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "installer"},
            "subjects": [{"kind": "ServiceAccount", "name": "installer", "namespace": world.real.name}],
        }
        who = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "installer"}}
        for thing in (who, role, bound):
            world.real.apply(thing)
        token = subprocess.run(
            [program("kubectl"), "create", "token", "installer", "--namespace", world.real.name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        return kubeconfig(tmp_path / "limited", "", world.real.name, token)

    rules = yaml.safe_load(INSTALLER.read_text())["rules"]
    cycle(world, account(rules))
    for resource, verb in (("secrets", "list"), ("networkpolicies", "patch"), ("pods", "delete"), ("roles", "create")):
        less = [
            {**rule, "verbs": [one for one in rule["verbs"] if one != verb]} if resource in rule["resources"] else rule
            for rule in rules
        ]
        config = account(less)
        with pytest.raises(AssertionError, match=r"(?s)forbidden|attempting to grant"):
            cycle(world, config)
        account(rules)
        subprocess.run(
            [program("helm"), "uninstall", "first", f"--namespace={world.real.name}", "--ignore-not-found"],
            check=True,
            capture_output=True,
        )
