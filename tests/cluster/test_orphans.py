"""A Job deleted without its Pod, on a real cluster: one trainer of an attempt at a time, whoever looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_trainer.contract.messages import TrainingRequest
from tests.cluster.real import namespace, needs_cluster, needs_image
from tests.cluster.test_launcher import NOWHERE, World, launched
from tests.launchers.harness import ENDED, until, until_phase

pytestmark = [needs_cluster, needs_image, pytest.mark.timeout(300)]


@pytest.fixture
def world() -> Iterator[World]:
    with namespace() as new, closing(World(new)) as world:
        world.put_keys()
        yield world


def delete_job(world: World, policy: str) -> None:
    batch, name = world.namespace.batch, world.namespace.name
    (job,) = batch.list_namespaced_job(name).items
    batch.delete_namespaced_job(job.metadata.name, name, propagation_policy=policy)
    until(lambda: not batch.list_namespaced_job(name).items)


def running(world: World) -> list[Any]:
    """The Pods whose trainer runs, or may still run."""
    return [pod for pod in world.namespace.pods() if pod.status.phase in ("Pending", "Running")]


def follow(launcher: KubernetesLauncher, world: World, *requests: TrainingRequest, seconds: float = 6) -> None:
    """Do for a while as the loop does, and check that there is one trainer at most."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = launcher.observe()
        for request in requests:
            if request.trial not in seen:
                launcher.launch(request, 1)
        assert len(running(world)) <= 1
        time.sleep(0.05)


@pytest.mark.parametrize("away", [False, True], ids=["watched", "while the orchestrator is away"])
def test_an_orphan_is_adopted_and_its_end_is_seen(world: World, away: bool) -> None:
    launcher = world.launcher(**NOWHERE)
    request = launched(launcher)
    until_phase(launcher, request, Phase.RUNNING)
    (pod,) = world.namespace.pods()
    if away:
        launcher.close()
    delete_job(world, "Orphan")
    if away:
        launcher = world.launcher(**NOWHERE)
    follow(launcher, world, request, seconds=3)
    seen = until_phase(launcher, request, *ENDED)
    assert (seen.phase, seen.attempt) == (Phase.CUT_OFF, 1), "its exit code is known"
    assert [other.metadata.name for other in world.namespace.pods()] == [pod.metadata.name]

    def tidied() -> bool:
        launcher.cancel(request.trial)
        return not world.namespace.pods()

    until(tidied)


def test_an_orphan_of_several_trials(world: World) -> None:
    launcher = world.launcher(trials_per_job=2, **NOWHERE)
    first, second = launched(launcher), launched(launcher)
    until_phase(launcher, first, Phase.RUNNING)
    delete_job(world, "Orphan")
    follow(launcher, world, first, second, seconds=3)
    assert until_phase(launcher, first, *ENDED).phase is Phase.CUT_OFF
    until(lambda: second.trial not in launcher.observe())


def test_a_job_deleted_with_its_pod_is_replaced_when_the_pod_has_ended(world: World) -> None:
    launcher = world.launcher(**{**NOWHERE, "grace_seconds": 20})
    request = launched(launcher)
    until_phase(launcher, request, Phase.RUNNING)
    (pod,) = world.namespace.pods()
    delete_job(world, "Background")
    follow(launcher, world, request)
    until(lambda: bool(world.namespace.pods()) and pod.metadata.name not in [p.metadata.name for p in running(world)])


def test_an_orphan_that_cannot_begin_makes_way(world: World) -> None:
    launcher = world.launcher(image="no-such-image:none", image_pull_policy="Never")
    request = launched(launcher)
    until(lambda: launcher.observe()[request.trial].phase is Phase.PENDING and bool(world.namespace.pods()))
    (pod,) = world.namespace.pods()
    delete_job(world, "Orphan")

    def gone() -> bool:
        launcher.observe()
        return pod.metadata.name not in [other.metadata.name for other in world.namespace.pods()]

    until(gone)
