"""Jobs with several trials, and what can happen to them, on the double."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import REPLACEMENTS, JobForm
from metaqnn_orch.launchers.kubernetes.names import TRIALS
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store, exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause, StoreError
from tests.launchers.harness import ENDED, until, until_ended, until_phase
from tests.launchers.kubernetes.conftest import NAMESPACE, RUN, FakeCluster
from tests.launchers.kubernetes.double.api import Fault


def bundling(cluster: FakeCluster, linger: float = 0.2) -> KubernetesLauncher:
    """A launcher that has one Job at a time, of four trials."""
    return cluster.launcher(parallel=4, trials_per_job=4, linger=linger)


def launched(cluster: FakeCluster, launcher: KubernetesLauncher, *fates: str) -> list[TrainingRequest]:
    """Trials that are launched in one go."""
    requests = [cluster.request(fate) for fate in fates]
    for request in requests:
        launcher.launch(request, 1)
    return requests


def starts(*requests: TrainingRequest) -> list[str]:
    return [f"{request.trial} 1" for request in requests]


def until_started(cluster: FakeCluster, *requests: TrainingRequest) -> None:
    until(lambda: cluster.started() == starts(*requests))


def phases(launcher: KubernetesLauncher, requests: Sequence[TrainingRequest]) -> list[Phase | None]:
    seen = launcher.observe()
    return [seen[request.trial].phase if request.trial in seen else None for request in requests]


def test_four_trials_share_a_job_and_each_is_seen_when_it_ends(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "delivers", "works-10", "hangs", "delivers")
    until(lambda: phases(launcher, requests) == [Phase.DELIVERED, Phase.DELIVERED, Phase.RUNNING, Phase.PENDING])
    (job,) = cluster.jobs()
    assert job["metadata"]["name"].startswith("suite-bundle-")
    listed = " ".join(f"{request.trial}/1" for request in requests)
    assert job["metadata"]["annotations"][TRIALS] == listed
    assert cluster.pods()[0]["metadata"]["labels"]["metaqnn/bundle"] == job["metadata"]["name"][-12:]
    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 4 * 21_600
    until_started(cluster, *requests[:3])


def test_what_is_told_of_a_job_does_not_stop_it(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    one, two, three, four = launched(cluster, launcher, "delivers", "works-200", "works-200", "works-200")
    for request in (one, two, three, four):
        until_phase(launcher, request, Phase.DELIVERED)
        launcher.cancel(request.trial)
        assert request.trial not in launcher.observe()
    until(lambda: launcher.observe() == {} and cluster.jobs() == [])
    until_started(cluster, one, two, three, four)
    until(lambda: not [*cluster.store.list(keys.bundles(RUN.name))])


def test_a_job_keeps_its_place_until_its_pod_has_ended_unless_the_search_is_over(cluster: FakeCluster) -> None:
    """Its card is not free before."""
    (cluster.notes / "lingers").touch()
    launcher = bundling(cluster)
    for request in launched(cluster, launcher, *["delivers"] * 4):
        until_phase(launcher, request, Phase.DELIVERED)
        launcher.cancel(request.trial)
    (later,) = launched(cluster, launcher, "delivers")
    until(lambda: launcher.observe()[later.trial].phase is Phase.PENDING)
    assert len(cluster.jobs()) == 1
    launcher.cancel(later.trial)
    launcher.close()
    until(lambda: cluster.jobs() == [])


def test_a_pod_killed_in_its_second_trial_costs_only_that(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    one, two, three, four = requests = launched(cluster, launcher, "delivers", "hangs", "delivers", "delivers")
    until_started(cluster, one, two)
    cluster.controllers.kill(cluster.pods()[0])
    until(lambda: phases(launcher, requests) == [Phase.DELIVERED, Phase.CRASHED, None, None])
    assert "node-1" in launcher.observe()[two.trial].detail
    for request in (three, four):
        assert until_ended(launcher, request).phase is Phase.DELIVERED
    launcher.launch(two, 2)
    until(lambda: len(cluster.started()) == 5)
    assert sorted(cluster.started()) == sorted([*starts(one, two, three, four), f"{two.trial} 2"])
    (again,) = [job for job in cluster.jobs() if job["metadata"]["name"] == f"suite-{two.trial}-2"]
    assert "affinity" in again["spec"]["template"]["spec"], "it is alone, and prefers another node"


def test_poison_as_the_first_costs_the_others_no_attempt(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "exits-139", "delivers", "delivers", "delivers")
    poison, *others = requests
    until(lambda: phases(launcher, requests) == [Phase.CRASHED, None, None, None])
    for request in others:
        seen = until_ended(launcher, request)
        assert (seen.phase, seen.attempt) == (Phase.DELIVERED, 1)
    assert cluster.started() == starts(poison, *others)


@pytest.mark.parametrize(
    ("code", "phase"), [(11, Phase.HOPELESS), (17, Phase.REFUSED)], ids=["a net that cannot be built", "refused"]
)
def test_an_end_that_concerns_one_net_alone_does_not_end_the_others(
    cluster: FakeCluster, code: int, phase: Phase
) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, f"exits-{code}", "delivers", f"exits-{code}", "delivers")
    until(lambda: phases(launcher, requests) == [phase, Phase.DELIVERED, phase, Phase.DELIVERED])
    assert launcher.observe()[requests[0].trial].detail.endswith(": so it says")
    assert len(cluster.jobs()) == 1


@pytest.mark.parametrize(("code", "phase"), [(15, Phase.CUT_OFF), (14, Phase.NO_DEVICE), (13, Phase.CRASHED)])
def test_an_end_that_may_be_the_processs_ends_the_job_and_the_last_is_launched_again(
    cluster: FakeCluster, code: int, phase: Phase
) -> None:
    """15: the store is away when the third result is to be written."""
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "delivers", "delivers", f"exits-{code}", "delivers")
    until(lambda: phases(launcher, requests) == [Phase.DELIVERED, Phase.DELIVERED, phase, None])
    assert until_ended(launcher, requests[3]).phase is Phase.DELIVERED
    assert cluster.started() == starts(*requests)


def test_a_pod_that_the_cluster_replaces_goes_on_with_the_trial_in_training(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    one, two, three, four = requests = launched(cluster, launcher, "delivers", "hangs", "delivers", "delivers")
    until_started(cluster, one, two)
    (cluster.notes / two.trial).write_text("delivers")
    cluster.controllers.evict(cluster.pods()[0])
    for request in requests:
        seen = until_phase(launcher, request, Phase.DELIVERED)
        assert seen.attempt == 1
    assert cluster.started() == starts(one, two, two, three, four)
    assert len(cluster.jobs()) == 1


def test_a_job_deleted_by_hand_costs_nobody_anything(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "delivers", "hangs", "delivers", "delivers")
    until_started(cluster, *requests[:2])
    until_phase(launcher, requests[0], Phase.DELIVERED)
    (job,) = cluster.jobs()
    cluster.api.delete("jobs", NAMESPACE, job["metadata"]["name"], {"propagationPolicy": "Background"})
    until(lambda: phases(launcher, requests)[1:] == [None] * 3)
    (cluster.notes / requests[1].trial).write_text("delivers")
    for request in requests[1:]:
        assert until_ended(launcher, request).attempt == 1
    until_started(cluster, *requests[:2], *requests[1:])


def test_a_job_beyond_its_deadline_is_charged_to_the_trial_in_training(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "delivers", "hangs", "delivers", "delivers")
    for number in range(REPLACEMENTS + 1):
        until_started(cluster, requests[0], *[requests[1]] * (number + 1))
        cluster.controllers.fail(cluster.pods()[-1], "DeadlineExceeded")
    until(lambda: phases(launcher, requests) == [Phase.DELIVERED, Phase.CRASHED, None, None])
    assert "time_limit_seconds" in launcher.observe()[requests[1].trial].detail


def test_a_second_orchestrator_goes_on_with_the_jobs_of_the_first(cluster: FakeCluster) -> None:
    """It knows what was told before, and lets go of that at once, before it knows how far the Job is."""
    one = bundling(cluster)
    requests = launched(cluster, one, "delivers", "delivers", "hangs", "delivers")
    until(lambda: phases(one, requests)[2:] == [Phase.RUNNING, Phase.PENDING])
    one.close()
    two = bundling(cluster)
    assert set(phases(two, requests)) <= {Phase.PENDING, Phase.DELIVERED, Phase.RUNNING}
    for told in requests[:2]:
        two.cancel(told.trial)
    until(lambda: phases(two, requests) == [None, None, Phase.RUNNING, Phase.PENDING])
    for request in requests[2:]:
        two.launch(request, 1)
    assert phases(two, requests) == [None, None, Phase.RUNNING, Phase.PENDING]
    until_started(cluster, *requests[:3])
    cluster.controllers.kill(cluster.pods()[0])
    until(lambda: phases(two, requests) == [None, None, Phase.CRASHED, None])


def test_a_session_with_another_number_of_trials_goes_on_with_what_is_there(cluster: FakeCluster) -> None:
    one = bundling(cluster)
    requests = launched(cluster, one, "delivers", "works-300", "works-10", "delivers")
    until_started(cluster, *requests[:2])
    one.close()
    two = cluster.launcher(parallel=4)
    for request in requests:
        assert until_ended(two, request).phase is Phase.DELIVERED
    assert cluster.started() == starts(*requests)


def test_two_orchestrators_that_bundle_differently_end_with_each_trial_once(cluster: FakeCluster) -> None:
    """One lost the run, but has not noticed yet; the other has proposed one more net, and bundles them otherwise."""
    loser, holder = (bundling(cluster, linger=0.0) for _ in range(2))
    requests = [cluster.request("works-300") for _ in range(5)]
    for request in requests[:4]:
        loser.launch(request, 1)
    for request in requests[1:]:
        holder.launch(request, 1)
    for request in requests:
        assert until_ended(holder, request).attempt == 1
    assert {*cluster.started()} == {*starts(*requests)}
    assert len(cluster.started()) <= 6, "the younger Job is gone as soon as both are seen"


def test_a_trainer_that_knows_no_bundles_ends_the_work_and_costs_nothing(cluster: FakeCluster) -> None:
    (cluster.notes / "knows-no-bundles").touch()
    launcher = bundling(cluster)
    launched(cluster, launcher, *["delivers"] * 4)
    with pytest.raises(LauncherError, match="has 4 trials, but its trainer ended without a word") as error:
        until(lambda: launcher.observe() is None)
    assert "--trial" in str(error.value), "the trainer's own words"
    assert "execution.kubernetes.trials_per_job=1" in error.value.hint
    launcher.close()
    until(lambda: cluster.jobs() == [])
    assert cluster.started() == []
    assert cluster.launcher(parallel=4).observe() == {}


def test_a_cancelled_trial_is_stopped_and_the_others_are_launched_again(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "delivers", "hangs", "delivers", "delivers")
    until_phase(launcher, requests[1], Phase.RUNNING)
    until_phase(launcher, requests[0], Phase.DELIVERED)
    launcher.cancel(requests[1].trial)
    assert phases(launcher, requests) == [Phase.DELIVERED, None, None, None], "an end stays known until it is told"
    for request in requests[2:]:
        assert until_ended(launcher, request).phase is Phase.DELIVERED
    launcher.cancel(requests[0].trial)
    assert phases(launcher, requests)[:2] == [None, None]


def test_a_cancelled_trial_that_waits_for_its_job_leaves_the_others_there(cluster: FakeCluster) -> None:
    cluster.api.faults = lambda ask: Fault(status=503) if ask.verb == "create" else Fault()
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, *["delivers"] * 4)
    launcher.cancel(requests[1].trial)
    assert phases(launcher, requests) == [Phase.PENDING, None, Phase.PENDING, Phase.PENDING]
    cluster.api.faults = lambda ask: Fault()
    for request in (requests[0], *requests[2:]):
        assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    until_started(cluster, requests[0], *requests[2:])


def test_fewer_than_fill_a_job_wait_for_a_moment_only(cluster: FakeCluster) -> None:
    launcher = cluster.launcher(parallel=8, trials_per_job=4)
    requests = launched(cluster, launcher, *["delivers"] * 3)
    assert all("waits for its place" in seen.detail for seen in launcher.observe().values())
    for request in requests:
        assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    assert len(cluster.jobs()) == 2, "spread over the two Jobs that there may be"


def test_there_are_no_more_pods_than_parallel_trials_make_full_jobs(cluster: FakeCluster) -> None:
    launcher = cluster.launcher(parallel=9, trials_per_job=4)
    assert launcher.together == 4
    requests = launched(cluster, launcher, *["works-30"] * 12)
    most = 0

    def all_ended() -> bool:
        nonlocal most
        most = max(most, len([pod for pod in cluster.pods() if pod["status"]["phase"] in ("Pending", "Running")]))
        return phases(launcher, requests) == [Phase.DELIVERED] * 12

    until(all_ended)
    assert most <= 2
    assert cluster.api.asks("create") == 3


class MoodyStore:
    """A store that does not answer while it is `away`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise StoreError("the store did not answer", cause=Cause.OUTAGE)
        return getattr(self._store, name)


def test_while_the_store_is_away_nobody_is_given_up(cluster: FakeCluster, tmp_path: Path) -> None:
    store: Any = MoodyStore(DirectoryStore(tmp_path / "runs"))
    form = JobForm(str(tmp_path / "runs"), KubernetesSettings(image="trainer", trials_per_job=4))
    with closing(KubernetesLauncher(Cluster(connect), RUN, form, store, 4, patience=60.0)) as launcher:
        requests = launched(cluster, launcher, "delivers", "hangs", "delivers", "delivers")
        until_started(cluster, *requests[:2])
        store.away = True
        cluster.controllers.kill(cluster.pods()[0])
        until(lambda: "did not answer" in launcher.observe()[requests[3].trial].detail)
        assert {*phases(launcher, requests)} <= {Phase.PENDING, Phase.DELIVERED}
        store.away = False
        until(lambda: phases(launcher, requests) == [Phase.DELIVERED, Phase.CRASHED, None, None])


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"ended": [{"trial": "x"}]}', b"\xff" * 2_000_000])
def test_progress_that_cannot_be_read_costs_one_attempt_and_no_more(cluster: FakeCluster, note: bytes) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "hangs", "delivers", "delivers", "delivers")
    until_started(cluster, requests[0])
    (job,) = cluster.jobs()
    cluster.store.put(keys.bundle(RUN.name, job["metadata"]["name"][-12:]), note)
    cluster.controllers.kill(cluster.pods()[0])
    until(lambda: phases(launcher, requests) == [Phase.CRASHED, None, None, None])


def test_progress_that_names_foreign_trials_changes_nothing(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    requests = launched(cluster, launcher, "hangs", "delivers", "delivers", "delivers")
    until_phase(launcher, requests[0], Phase.RUNNING)
    (job,) = cluster.jobs()
    key = keys.bundle(RUN.name, job["metadata"]["name"][-12:])
    until(lambda: exists(cluster.store, key))
    ended = f'{{"trial": "{"f" * 12}", "attempt": 1, "exit_code": 0}}, {{"trial": "{requests[0].trial}", "attempt": 2, '
    cluster.store.put(key, f'{{"ended": [{ended}"exit_code": 0}}]}}'.encode())
    cluster.controllers.kill(cluster.pods()[0])
    until(lambda: phases(launcher, requests) == [Phase.CRASHED, None, None, None])


def test_a_finished_job_of_which_nobody_waits_for_anything_accuses_no_trainer(cluster: FakeCluster) -> None:
    first = bundling(cluster)
    requests = launched(cluster, first, *["delivers"] * 4)
    until(lambda: phases(first, requests) == [Phase.DELIVERED] * 4)
    until(lambda: all(job.get("status", {}).get("conditions") for job in cluster.jobs()))
    first.close()  # killed when it had told all four, and before it deleted their Job
    for entry in list(cluster.store.list(keys.bundles(RUN.name))):
        cluster.store.delete(entry.key)  # as gc does, which knows only of trials in flight
    second = bundling(cluster)

    def gone() -> bool:
        for trial in second.observe():
            second.cancel(trial)
        return not cluster.jobs()

    until(gone)


def test_damaged_progress_stops_no_training(cluster: FakeCluster) -> None:
    first = bundling(cluster)
    requests = launched(cluster, first, "delivers", "hangs", "delivers", "delivers")
    until_started(cluster, *requests[:2])
    until_phase(first, requests[0], Phase.DELIVERED)
    first.close()
    (entry,) = cluster.store.list(keys.bundles(RUN.name))
    cluster.store.put(entry.key, b"{damaged")
    second = bundling(cluster)

    for _ in range(30):
        second.observe()
        second.cancel(requests[0].trial)
        time.sleep(0.05)
    assert requests[1].trial in second.observe()
    assert len(cluster.jobs()) == 1
    assert cluster.started() == starts(*requests[:2])
