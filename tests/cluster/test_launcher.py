"""The launcher on a real cluster: what its API server, scheduler and kubelet really say of a Job that cannot go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, refuse_unreachable
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cluster.real import IMAGE, Namespace, namespace, needs_cluster, needs_image
from tests.launchers.harness import ENDED, make_request, until, until_phase

pytestmark = [needs_cluster, needs_image]

RUN = RunRef("real", "7" * 32)
SMALL = {
    "gpus": 0,
    "cpu": 0.1,
    "memory": "512Mi",
    "shared_memory": "64Mi",
    "ephemeral_storage": "0M",
    "grace_seconds": 1,
}
# Nothing listens there: the trainer tries for some ten seconds, and says that the store does not answer.
NOWHERE = {"store_endpoint": "http://127.0.0.1:9", "store_secret": "keys", "store_region": "nowhere"}


class World:
    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._launchers: list[KubernetesLauncher] = []

    def launcher(self, **settings: Any) -> KubernetesLauncher:
        chosen = KubernetesSettings(**{"image": IMAGE, **SMALL, **settings})
        cluster = Cluster(connect, self.namespace.name)
        refuse_unreachable(cluster)
        form, store = JobForm("s3://bucket", chosen), DirectoryStore("/no/store")
        launcher = KubernetesLauncher(cluster, RUN, form, store, 2, patience=1.0)
        self._launchers.append(launcher)
        return launcher

    def put_keys(self) -> None:
        self.namespace.put_secret("keys", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")

    def close(self) -> None:
        for launcher in self._launchers:
            launcher.close()


@pytest.fixture
def world() -> Iterator[World]:
    with namespace() as new, closing(World(new)) as world:
        yield world


def launched(launcher: KubernetesLauncher, attempt: int = 1) -> TrainingRequest:
    request = make_request(RUN.name)
    launcher.launch(request, attempt)
    return request


def until_trouble(launcher: KubernetesLauncher, request: TrainingRequest, words: str) -> None:
    def told() -> bool:
        assert launcher.observe()[request.trial].phase is Phase.PENDING
        return words in launcher.trouble

    until(told)


def test_an_image_that_is_not_there(world: World) -> None:
    launcher = world.launcher(image="no-such-image:none", image_pull_policy="Never")
    until_trouble(launcher, launched(launcher), "ErrImageNeverPull")


def test_a_secret_that_is_not_there_yet(world: World) -> None:
    launcher = world.launcher(**NOWHERE)
    request = launched(launcher)
    until_trouble(launcher, request, 'secret "keys" not found')
    world.put_keys()
    until_phase(launcher, request, Phase.RUNNING)


def test_no_node_has_the_resource(world: World) -> None:
    launcher = world.launcher(gpus=1, gpu_resource="example.com/none")
    until_trouble(launcher, launched(launcher), "Insufficient example.com/none")


def test_a_quota_that_is_used_up(world: World) -> None:
    world.namespace.put_quota(pods="0")
    launcher = world.launcher()
    request = launched(launcher)
    until_trouble(launcher, request, "exceeded quota")
    launcher.cancel(request.trial)
    world.namespace.drop_quota()


def test_a_quota_of_jobs(world: World) -> None:
    world.namespace.put_quota(**{"count/jobs.batch": "0"})
    launcher = world.launcher(**NOWHERE)
    world.put_keys()
    request = launched(launcher)
    until_trouble(launcher, request, "exceeded quota")
    world.namespace.drop_quota()
    until_phase(launcher, request, Phase.RUNNING)
    assert launcher.trouble == ""


def test_a_store_that_does_not_answer_pods(world: World) -> None:
    world.put_keys()
    launcher = world.launcher(**NOWHERE)
    seen = until_phase(launcher, launched(launcher), *ENDED)
    assert seen.phase is Phase.CUT_OFF
    assert "15 (store)" in seen.detail


def test_several_trials_whose_job_does_not_reach_the_store(world: World) -> None:
    """It costs the first of them, and the others have not begun."""
    world.put_keys()
    launcher = world.launcher(trials_per_job=2, **NOWHERE)
    first, second = launched(launcher), launched(launcher)
    assert until_phase(launcher, first, *ENDED).phase is Phase.CUT_OFF
    until(lambda: second.trial not in launcher.observe())
    (job,) = world.namespace.batch.list_namespaced_job(world.namespace.name).items
    assert job.metadata.name.startswith("real-bundle-")
    launcher.cancel(first.trial)
    until(lambda: not world.namespace.batch.list_namespaced_job(world.namespace.name).items)


def test_eviction_is_free_and_the_cluster_starts_the_trial_again(world: World) -> None:
    world.put_keys()
    launcher = world.launcher(**NOWHERE)
    request = launched(launcher)
    until_phase(launcher, request, Phase.RUNNING)
    (pod,) = world.namespace.pods()
    world.namespace.evict(pod.metadata.name)
    until(lambda: any(other.metadata.name != pod.metadata.name for other in world.namespace.pods()))
    assert launcher.observe()[request.trial].attempt == 1
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1


def test_a_pod_deleted_by_hand_is_free(world: World) -> None:
    """Its trainer says that it was asked to stop; or it has no time to, and the cluster starts it again."""
    world.put_keys()
    launcher = world.launcher(**NOWHERE)
    request = launched(launcher)
    until_phase(launcher, request, Phase.RUNNING)
    (pod,) = world.namespace.pods()
    world.namespace.core.delete_namespaced_pod(pod.metadata.name, world.namespace.name, grace_period_seconds=0)

    def goes_on() -> bool:
        seen = launcher.observe()[request.trial]
        assert seen.phase in (Phase.PENDING, Phase.RUNNING, Phase.DISRUPTED)
        replaced = any(other.metadata.name != pod.metadata.name for other in world.namespace.pods())
        return seen.phase is Phase.DISRUPTED or (replaced and seen.phase is Phase.RUNNING)

    until(goes_on)


def test_a_second_orchestrator_finds_the_jobs(world: World) -> None:
    world.put_keys()
    one = world.launcher(**NOWHERE)
    request = launched(one)
    until_phase(one, request, Phase.RUNNING)
    one.close()
    two = world.launcher(**NOWHERE)
    assert two.observe()[request.trial].attempt == 1
    two.launch(request, 1)
    assert len(world.namespace.batch.list_namespaced_job(world.namespace.name).items) == 1
    two.cancel(request.trial)
    until(lambda: not world.namespace.batch.list_namespaced_job(world.namespace.name).items)


def test_memory_that_does_not_suffice(world: World) -> None:
    world.put_keys()
    launcher = world.launcher(**{**NOWHERE, "memory": "24M", "shared_memory": "8M"})
    seen = until_phase(launcher, launched(launcher), *ENDED)
    assert seen.phase in (Phase.CRASHED, Phase.DISRUPTED)
