"""What can happen between a launcher and its cluster, done to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from threading import Event
from typing import Any

import pytest

from metaqnn_orch.errors import ClusterError, LauncherError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource, refuse_unreachable
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import REPLACEMENTS, JobForm
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from tests.launchers.harness import ENDED, PATIENCE, until, until_phase
from tests.launchers.kubernetes.conftest import NAMESPACE, RUN, FakeCluster, connect_as
from tests.launchers.kubernetes.double.api import CALLER, Ask, Fault
from tests.launchers.kubernetes.double.kubeconfig import write_kubeconfig
from tests.launchers.kubernetes.double.objects import Refused


def first(times: int, verb: str, fault: Fault, resource: str = "jobs") -> Callable[[Ask], Fault]:
    """The first requests of a kind go wrong."""
    return lambda ask: fault if (ask.verb, ask.resource) == (verb, resource) and ask.number <= times else Fault()


def at_work(cluster: FakeCluster, launcher: KubernetesLauncher, request: TrainingRequest) -> None:
    """Wait until the trainer's process has begun."""
    until_phase(launcher, request, Phase.RUNNING)
    until(lambda: any(line.startswith(request.trial) for line in cluster.started()))


def test_a_second_orchestrator_finds_the_jobs_of_the_first(cluster: FakeCluster) -> None:
    running, ended = cluster.request("hangs"), cluster.request("delivers")
    one = cluster.launcher()
    one.launch(running, 1)
    one.launch(ended, 3)
    at_work(cluster, one, running)
    until_phase(one, ended, Phase.DELIVERED)
    one.close()
    two = cluster.launcher()
    seen = two.observe()
    assert seen[running.trial].phase is Phase.RUNNING
    assert (seen[ended.trial].phase, seen[ended.trial].attempt) == (Phase.DELIVERED, 3)
    two.launch(running, 1)
    two.launch(ended, 2)
    assert two.observe() == seen
    two.cancel(running.trial)
    until(lambda: len(cluster.jobs()) == 1)
    assert sorted(cluster.started()) == sorted([f"{running.trial} 1", f"{ended.trial} 3"])


def test_two_orchestrators_at_once_start_a_trial_once(cluster: FakeCluster) -> None:
    request = cluster.request("works-300")
    one, two = cluster.launcher(), cluster.launcher()
    for launcher in (one, two):
        launcher.launch(request, 1)
    for launcher in (one, two):
        assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    assert cluster.started() == [f"{request.trial} 1"]


HTML = b"<html><h1>502 Bad Gateway</h1></html>"
CREATE_FAULTS = {
    "too many requests": Fault(status=429, headers={"Retry-After": "0"}),
    "too many, a moment": Fault(status=429, headers={"Retry-After": "1"}),
    "nonsense in Retry-After": Fault(status=429, headers={"Retry-After": "\xe9"}),
    "server error": Fault(status=500, body=b"{}"),
    "a proxy's page": Fault(status=502, body=HTML + b"\xff\xfe"),
    "unavailable": Fault(status=503, body=b"null"),
    "connection cut before": Fault(reset=True),
    "reply lost": Fault(lose_reply=True),
    "reply cut": Fault(cut_reply=True),
    "slow": Fault(stall=0.3),
    "no longer authorised": Fault(status=401, body=b'{"message": "Unauthorized"}'),
    "forbidden for a while": Fault(status=403, body=b'{"message": "cannot create"}'),
}


def test_creations_that_go_wrong_are_repeated_and_make_one_job_each(cluster: FakeCluster) -> None:
    """Each fault meets a search of its own, all of them on one cluster."""
    plans = {name: first(3, "create", fault) for name, fault in CREATE_FAULTS.items()}
    cluster.api.faults = lambda ask: plans[str(ask.headers[CALLER])](ask)
    cluster.controllers.places = 100
    searches = []
    for number, name in enumerate(CREATE_FAULTS):
        run = RunRef(f"run-{number}", f"{number:032x}")
        launcher = cluster.launcher(parallel=3, run=run, connect=connect_as(name))
        requests = [cluster.request("delivers", run) for _ in range(3)]
        searches.append((name, launcher, requests))
        for request in requests:
            launcher.launch(request, 1)
    for name, launcher, requests in searches:
        for request in requests:
            assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED, name
        until(lambda: launcher.trouble == "")  # noqa: B023
    expected = [f"{request.trial} 1" for _, _, requests in searches for request in requests]
    assert sorted(cluster.started()) == sorted(expected)


def test_a_job_of_another_run_of_the_same_name_is_refused_by_name(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    other = cluster.launcher(run=RunRef("suite", "a" * 32))
    other.launch(request, 1)
    until_phase(other, request, Phase.RUNNING)
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    with pytest.raises(LauncherError, match=f"job suite-{request.trial}-1 in namespace trials belongs to another run"):
        until(lambda: launcher.observe() is None)
    launcher.cancel(request.trial)
    assert [live(job) for job in cluster.jobs()] == [True]
    assert other.observe()[request.trial].phase is Phase.RUNNING


def test_the_cluster_replaces_what_it_interrupted_at_no_cost(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    cluster.controllers.evict(cluster.pods()[0])
    until(lambda: len(cluster.started()) == 2)
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1
    assert cluster.started() == [f"{request.trial} 1"] * 2


def has_started(cluster: FakeCluster, times: int) -> bool:
    return len(cluster.started()) == times


def test_the_cluster_replaces_a_pod_a_few_times(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    for number in range(1, REPLACEMENTS + 2):
        until(partial(has_started, cluster, number))
        at_work(cluster, launcher, request)
        cluster.controllers.evict(cluster.pods()[-1])
    seen = until_phase(launcher, request, *ENDED)
    assert (seen.attempt, seen.phase) == (1, Phase.DISRUPTED)
    assert len(cluster.started()) == REPLACEMENTS + 1


def test_a_pod_deleted_by_hand_goes_on_in_its_job(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    pod = cluster.pods()[0]["metadata"]["name"]
    cluster.api.delete("pods", NAMESPACE, pod, {})
    until(lambda: cluster.started() == [f"{request.trial} 1"] * 2)
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1


@pytest.mark.parametrize(
    ("reason", "phase"),
    [("NodeLost", Phase.DISRUPTED), ("UnexpectedAdmissionError", Phase.DISRUPTED), ("DeadlineExceeded", Phase.CRASHED)],
)
def test_what_the_node_says_of_the_end(cluster: FakeCluster, reason: str, phase: Phase) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    for number in range(1, REPLACEMENTS + 2):
        until(partial(has_started, cluster, number))
        at_work(cluster, launcher, request)
        cluster.controllers.fail(cluster.pods()[-1], reason)
    assert until_phase(launcher, request, *ENDED).phase is phase


def test_another_attempt_prefers_other_nodes(cluster: FakeCluster) -> None:
    request = cluster.request("exits-1")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    until_phase(launcher, request, Phase.CRASHED)
    launcher.launch(request, 2)
    until(lambda: len(cluster.jobs()) == 2)
    one, two = (job["spec"]["template"]["spec"] for job in cluster.jobs())
    (preferred,) = two["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    (field,) = preferred["preference"]["matchFields"]
    assert field == {"key": "metadata.name", "operator": "NotIn", "values": ["node-1"]}
    assert "affinity" not in one


def test_a_job_deleted_by_hand_is_not_there_and_can_be_launched_again(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    cluster.api.delete("jobs", NAMESPACE, f"suite-{request.trial}-1", {"propagationPolicy": "Background"})
    until(lambda: request.trial not in launcher.observe())
    launcher.launch(request, 1)
    until(lambda: len(cluster.started()) == 2)


def test_edited_labels_make_a_job_nobodys(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    name = f"suite-{request.trial}-1"
    cluster.api.objects.update(
        "jobs", NAMESPACE, name, lambda it: it["metadata"]["labels"].update({"metaqnn/trial": "x"})
    )
    until(lambda: launcher.observe() == {})


def test_a_suspended_job_is_shown_and_left_alone(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    name = f"suite-{request.trial}-1"
    cluster.api.objects.update("jobs", NAMESPACE, name, lambda it: it["spec"].update(suspend=True))
    until(lambda: "suspended" in launcher.observe()[request.trial].detail)
    until(lambda: cluster.pods() == [])
    cluster.api.objects.update("jobs", NAMESPACE, name, lambda it: it["spec"].update(suspend=False))
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1
    assert launcher.trouble == ""


def no_image(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    command = cluster.controllers.images["trainer"]
    return {"image": "elsewhere"}, lambda: cluster.controllers.images.update(elsewhere=command)


def no_secret(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    return {"store_secret": "keys"}, lambda: cluster.controllers.secrets.update(keys=keys)


def no_room(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    cluster.controllers.places = 0
    return {}, lambda: setattr(cluster.controllers, "places", 10)


def no_quota(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    quota = Refused(403, "Forbidden", "pods is forbidden: exceeded quota: gpus, requested: 1, used: 4, limited: 4")
    cluster.api.admission = lambda resource, thing: quota if resource == "pods" else None
    return {}, lambda: setattr(cluster.api, "admission", lambda resource, thing: None)


def no_job_quota(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    quota = Refused(403, "Forbidden", "jobs is forbidden: exceeded quota: count")
    cluster.api.admission = lambda resource, thing: quota if resource == "jobs" else None
    return {}, lambda: setattr(cluster.api, "admission", lambda resource, thing: None)


def no_right(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    cluster.api.denied = {("create", "jobs")}
    return {}, cluster.api.denied.clear


def no_webhook(cluster: FakeCluster) -> tuple[dict[str, Any], Callable[[], object]]:
    down = Refused(500, "InternalError", 'failed calling webhook "policy": connection refused')
    cluster.api.admission = lambda resource, thing: down if resource == "jobs" else None
    return {}, lambda: setattr(cluster.api, "admission", lambda resource, thing: None)


TROUBLES = [
    (no_image, "ImagePullBackOff"),
    (no_secret, "CreateContainerConfigError"),
    (no_room, "0/1 nodes"),
    (no_quota, "exceeded quota: gpus"),
    (no_job_quota, "exceeded quota: count"),
    (no_right, "cannot create"),
    (no_webhook, "failed calling webhook"),
]


@pytest.mark.parametrize(("trouble", "words"), TROUBLES, ids=[case[0].__name__ for case in TROUBLES])
def test_what_is_wrong_for_the_whole_run_is_told_once_and_ends_by_itself(
    cluster: FakeCluster, trouble: Callable[[FakeCluster], Any], words: str
) -> None:
    settings, mend = trouble(cluster)
    request = cluster.request("delivers")
    launcher = cluster.launcher(**settings)
    launcher.launch(request, 1)

    def told() -> bool:
        assert launcher.observe()[request.trial].phase is Phase.PENDING
        return words in launcher.trouble

    until(told)
    assert launcher.trouble.isprintable()
    mend()
    assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    launcher.observe()
    assert launcher.trouble == ""
    assert cluster.started() == [f"{request.trial} 1"]


def test_jobs_that_wait_for_what_was_mended_in_the_settings_are_made_anew(cluster: FakeCluster) -> None:
    request = cluster.request("delivers")
    one = cluster.launcher(image="wrong")
    one.launch(request, 1)
    until(lambda: bool(one.observe()) and "ImagePullBackOff" in one.trouble)
    one.close()
    two = cluster.launcher(image="trainer")
    until(lambda: request.trial not in two.observe())
    two.launch(request, 1)
    assert until_phase(two, request, *ENDED).phase is Phase.DELIVERED


WATCH_FAULTS = {
    "ends at once": Fault(watch_seconds=0.0),
    "ends often": Fault(watch_seconds=0.05),
    "cut within an event": Fault(cut_reply=True),
    "gone by status": Fault(status=410, body=b"{}"),
    "gone by event": Fault(event=b'{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n'),
    "error event": Fault(event=b'{"type": "ERROR", "object": {"code": 500}}\n'),
    "error event without code": Fault(event=b'{"type": "ERROR", "object": {}}\n'),
    "unknown event": Fault(event=b'{"type": "SURPRISE", "object": {}}\n'),
    "no event": Fault(event=b"[]\n"),
    "no JSON": Fault(event=b"\xff\xfe{\n"),
    "object without metadata": Fault(event=b'{"type": "ADDED", "object": {}}\n'),
    "server error": Fault(status=500, body=HTML),
    "connection cut": Fault(reset=True),
    "too many requests": Fault(status=429),
}


@pytest.mark.parametrize("fault", WATCH_FAULTS.values(), ids=WATCH_FAULTS.keys())
def test_whatever_happens_to_watches_the_picture_becomes_right(cluster: FakeCluster, fault: Fault) -> None:
    cluster.api.faults = lambda ask: fault if ask.verb == "watch" and ask.number <= 4 else Fault()
    requests = [cluster.request(fate) for fate in ("delivers", "exits-13", "hangs")]
    launcher = cluster.launcher(parallel=3)
    for request in requests:
        launcher.launch(request, 1)
    for request, phase in zip(requests, (Phase.DELIVERED, Phase.CRASHED, Phase.RUNNING), strict=True):
        assert until_phase(launcher, request, phase).attempt == 1
    until(lambda: len(cluster.started()) >= 3)  # a Pod runs a moment before its process has said so
    assert len(cluster.started()) == 3
    assert cluster.api.asks("watch") <= 12, "no hot loop"
    assert cluster.api.asks("list") <= 12


def test_history_may_be_compacted_under_a_watch(cluster: FakeCluster) -> None:
    launcher = cluster.launcher()
    launcher.observe()
    cluster.api.faults = lambda ask: Fault(watch_seconds=0.1) if ask.verb == "watch" else Fault()
    for _ in range(3):
        request = cluster.request("delivers")
        cluster.api.objects.compact()
        launcher.launch(request, 1)
        assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
        cluster.api.objects.compact()


def test_an_api_that_is_away_is_waited_for(cluster: FakeCluster) -> None:
    running, later = cluster.request("hangs"), cluster.request("delivers")
    launcher = cluster.launcher()
    launcher.launch(running, 1)
    at_work(cluster, launcher, running)
    cluster.api.faults = lambda ask: Fault(reset=True, watch_seconds=0.0)
    launcher.launch(later, 1)
    until(lambda: "did not answer" in launcher.trouble)
    assert launcher.observe()[running.trial].phase is Phase.RUNNING, "the last that is known"
    cluster.api.faults = lambda ask: Fault()
    assert until_phase(launcher, later, *ENDED).phase is Phase.DELIVERED
    until(lambda: launcher.trouble == "")
    (pod,) = [pod for pod in cluster.pods() if pod["metadata"]["labels"]["metaqnn/trial"] == running.trial]
    cluster.controllers.kill(pod)
    assert until_phase(launcher, running, *ENDED).phase is Phase.CRASHED


@pytest.mark.parametrize("verb", ["list", "create", "delete"])
def test_an_api_that_takes_a_call_and_says_nothing_is_asked_again(cluster: FakeCluster, verb: str) -> None:
    launcher = cluster.launcher(timeout=0.3)
    launcher.observe()
    cluster.api.faults = first(2 + cluster.api.asks("list") * (verb == "list"), verb, Fault(stall=1.0, reset=True))
    if verb == "list":
        cluster.api.objects.compact()
    request = cluster.request("delivers")
    launcher.launch(request, 1)
    assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    launcher.cancel(request.trial)
    until(lambda: cluster.jobs() == [])
    assert cluster.started() == [f"{request.trial} 1"]


def test_an_api_that_says_nothing_is_told_long_before_its_calls_end(cluster: FakeCluster) -> None:
    launcher, answers = cluster.launcher(timeout=2.0), Event()
    launcher.observe()
    cluster.api.faults = lambda ask: Fault(reset=ask.verb == "create" and not answers.wait(PATIENCE))
    launcher.launch(cluster.request("delivers"), 1)
    until(lambda: launcher.trouble.startswith("no answer from the Kubernetes API at "))
    answers.set()
    until(lambda: launcher.trouble == "")


def test_a_list_that_is_older_than_what_was_seen_starts_nothing_twice(cluster: FakeCluster) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    cluster.api.faults = lambda ask: Fault(watch_seconds=0.5)  # or the first one would last for half a minute
    launcher.observe()
    stale = cluster.api.page("jobs", NAMESPACE, {})
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    fresh, left = cluster.api.page, 3

    def page(resource: str, namespace: str, query: dict[str, str]) -> dict[str, Any]:
        nonlocal left
        if resource == "jobs" and left:
            left -= 1
            return stale
        return fresh(resource, namespace, query)

    cluster.api.page = page  # type: ignore[method-assign]
    cluster.api.faults = lambda ask: Fault(status=410, body=b"{}") if ask.verb == "watch" and left else Fault()

    def goes_on() -> bool:
        if request.trial not in launcher.observe():
            launcher.launch(request, 1)  # what the loop does with a trial that nobody knows
        return not left

    until(goes_on)
    at_work(cluster, launcher, request)
    assert cluster.started() == [f"{request.trial} 1"]
    assert len(cluster.jobs()) == 1


def test_pages_that_expire_are_listed_from_the_beginning(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaqnn_orch.launchers.kubernetes.cluster.PAGE", 10)
    for number in range(12):
        cluster.api.create("jobs", NAMESPACE, {"metadata": {"name": f"job-{number}"}, "spec": {"suspend": True}})
    asked = []

    def forget(ask: Ask) -> Fault:
        asked.append(ask)
        if len(asked) == 2:
            cluster.api.forget_pages()
        return Fault()

    cluster.api.faults = forget
    found = Cluster(connect).list(Resource.JOBS).items
    assert len({job["metadata"]["name"] for job in found}) == len(found) == 12
    assert len(asked) == 4


@pytest.mark.parametrize("inside", [True, False])
def test_a_pod_whose_account_is_gone_gives_up_and_a_person_is_waited_for(cluster: FakeCluster, inside: bool) -> None:
    form = JobForm("/no/store", KubernetesSettings(image="trainer"))
    launcher = KubernetesLauncher(
        Cluster(lambda context: connect(context)._replace(inside=inside)), RUN, form, cluster.store, 1, patience=0.2
    )
    with closing(launcher):
        launcher.observe()
        cluster.api.token = "of another account of that name"
        launcher.launch(cluster.request("hangs"), 1)
        if inside:
            with pytest.raises(LauncherError, match="the service account of this Pod is gone"):
                until(lambda: launcher.observe() is None)
        else:
            until(lambda: launcher.observe() is not None and "401" in launcher.trouble)


def test_a_rotated_token_is_read_again(cluster: FakeCluster) -> None:
    launcher = cluster.launcher()
    launcher.observe()
    cluster.api.token = "another-token"
    write_kubeconfig(cluster.kubeconfig, cluster.url, "another-token", NAMESPACE)
    request = cluster.request("delivers")
    launcher.launch(request, 1)
    assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    assert not [word for word in ("another-token", "secret-token") if word in json.dumps(cluster.jobs())]


def test_no_more_jobs_are_live_than_there_are_places(cluster: FakeCluster) -> None:
    most = 0

    def count(resource: str, thing: Any) -> None:
        nonlocal most
        if resource == "jobs":
            most = max(most, 1 + sum(map(live, cluster.jobs())))

    cluster.api.admission = count
    cluster.api.faults = lambda ask: Fault(lose_reply=ask.number % 3 == 0) if ask.verb == "create" else Fault()
    launcher = cluster.launcher(parallel=3)
    requests = [cluster.request("works-20") for _ in range(12)]
    for request in requests:
        launcher.launch(request, 1)
    for request in requests:
        assert until_phase(launcher, request, *ENDED).phase is Phase.DELIVERED
    assert most <= 3
    assert len(cluster.started()) == 12


def test_an_image_that_cannot_be_started_costs_no_attempt_and_ends_the_work(cluster: FakeCluster) -> None:
    cluster.controllers.images["broken"] = ["/no/such/program"]
    launcher = cluster.launcher(image="broken")
    request = cluster.request("delivers")
    for attempt in (1, 2):
        launcher.launch(request, attempt)
        seen = until_phase(launcher, request, *ENDED)
        assert (seen.attempt, seen.phase) == (attempt, Phase.FALSE_START)
    launcher.launch(request, 3)
    with pytest.raises(
        LauncherError, match="none of 3 Jobs could be started; the container cannot be started: exec"
    ) as error:
        until(lambda: launcher.observe() is None)
    assert error.value.hint.startswith("is broken the trainer's image? Nodes keep the image that they have under a tag")


def test_jobs_of_an_image_that_was_mended_since_do_not_end_the_next_session(cluster: FakeCluster) -> None:
    cluster.controllers.images["broken"] = ["/no/such/program"]
    requests = [cluster.request("delivers") for _ in range(3)]
    launcher = cluster.launcher(image="broken", parallel=3)
    for request in requests:
        launcher.launch(request, 1)
    with pytest.raises(LauncherError, match="none of 3 Jobs could be started"):
        until(lambda: launcher.observe() is None)
    launcher.close()
    cluster.controllers.images["broken"] = cluster.controllers.images["trainer"]  # under the same name
    again = cluster.launcher(image="broken", parallel=3)
    for request in requests:
        seen = until_phase(again, request, *ENDED)
        assert (seen.attempt, seen.phase) == (1, Phase.FALSE_START)
        again.launch(request, 2)
    for request in requests:
        assert until_phase(again, request, *ENDED).phase is Phase.DELIVERED


def test_a_trainer_that_misses_the_store_says_so(cluster: FakeCluster) -> None:
    launcher = cluster.launcher()
    lost = cluster.request("exits-15")
    launcher.launch(lost, 1)
    assert until_phase(launcher, lost, *ENDED).phase is Phase.CUT_OFF


def test_deletions_that_go_wrong_are_repeated(cluster: FakeCluster) -> None:
    cluster.api.faults = first(2, "delete", Fault(status=503))
    request = cluster.request("hangs")
    launcher = cluster.launcher()
    launcher.launch(request, 1)
    until_phase(launcher, request, Phase.RUNNING)
    launcher.cancel(request.trial)
    assert launcher.observe() == {}
    until(lambda: cluster.jobs() == [] and cluster.pods() == [])
    assert cluster.api.asks("delete") == 3


def test_closing_leaves_jobs_but_not_those_that_were_cancelled(cluster: FakeCluster) -> None:
    kept, cancelled = cluster.request("hangs"), cluster.request("hangs")
    launcher = cluster.launcher()
    for request in (kept, cancelled):
        launcher.launch(request, 1)
        until_phase(launcher, request, Phase.RUNNING)
    launcher.cancel(cancelled.trial)
    launcher.close()
    assert [job["metadata"]["labels"]["metaqnn/trial"] for job in cluster.jobs()] == [kept.trial]


def test_a_namespace_that_is_gone_ends_the_work(cluster: FakeCluster) -> None:
    cluster.api.namespaces = set()
    launcher = cluster.launcher()
    launcher.launch(cluster.request("delivers"), 1)
    with pytest.raises(ClusterError, match='namespaces "trials" not found'):
        until(lambda: launcher.observe() is None)


def test_a_namespace_that_is_being_deleted_ends_the_work(cluster: FakeCluster) -> None:
    """Soon its account is gone, too, and the API says nothing but 401."""
    launcher = cluster.launcher()
    launcher.observe()
    words = 'jobs "x" is forbidden: unable to create new content in namespace trials because it is being terminated'
    refusal = {"kind": "Status", "reason": "Forbidden", "code": 403, "message": words}
    fault = Fault(status=403, body=json.dumps(refusal).encode())
    cluster.api.faults = lambda ask: fault if ask.verb == "create" else Fault()
    launcher.launch(cluster.request("delivers"), 1)
    with pytest.raises(ClusterError, match="is being terminated") as error:
        until(lambda: launcher.observe() is None)
    assert "being deleted" in error.value.hint


def test_at_the_start_a_cluster_that_does_not_let_us_in_is_an_error(cluster: FakeCluster) -> None:
    for verb, resource, words in (
        ("list", "jobs", "list jobs"),
        ("list", "pods", "list pods"),
        ("create", "jobs", "Jobs"),
    ):
        cluster.api.denied = {(verb, resource)}
        with pytest.raises(ClusterError, match=words) as error:
            refuse_unreachable(Cluster(connect))
        assert "doctor" in error.value.hint


def test_requests_for_each_trial_are_few(cluster: FakeCluster) -> None:
    launcher = cluster.launcher(parallel=10)
    requests = [cluster.request("delivers") for _ in range(40)]
    for request in requests:
        launcher.launch(request, 1)
    for request in requests:
        until_phase(launcher, request, Phase.DELIVERED)
        launcher.cancel(request.trial)
    until(lambda: cluster.jobs() == [])
    assert cluster.api.asks("create") == cluster.api.asks("delete") == 40
    assert len(cluster.api.asked) <= 2 * 40 + 10
