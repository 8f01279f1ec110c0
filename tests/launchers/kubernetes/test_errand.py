"""How an errand's Pods are, in words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes.errand import MAX_FILES, SETTINGS, PodOfSearch, exit_code, in_words, search_job
from metaqnn_orch.launchers.kubernetes.names import read_carried
from metaqnn_orch.settings.kubernetes import KubernetesSettings

TEMPLATE = {"spec": {"template": {"spec": {"containers": [{"name": "orchestrator", "image": "i"}]}}}}


def pod(at: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "creationTimestamp": at}, "status": status}


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "orchestrator", "state": state}]


def test_in_words() -> None:
    end = {"exitCode": 2, "message": "first\nerror: unknown setting x\n"}
    hinted = {"exitCode": 2, "message": "first\nerror: no searcher x\nhint: see y\n"}
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off\x1b[31m pulling"}
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert in_words([]) == "it has no Pod"
    assert in_words([pod("2", containerStatuses=container(terminated=end)), pod("1", phase="Failed")]) == (
        "exit code 2, error: unknown setting x"
    )
    assert in_words([pod("1", containerStatuses=container(terminated=hinted))]) == (
        "exit code 2, error: no searcher x, hint: see y"
    )
    assert in_words([pod("1", containerStatuses=container(terminated={"exitCode": 1}))]) == "exit code 1"
    assert in_words([pod("1", containerStatuses=container(waiting=waiting))]) == "ImagePullBackOff Back-off pulling"
    assert in_words([pod("1", phase="Pending", conditions=[full])]) == "Unschedulable 0/3 nodes"
    assert in_words([pod("1", phase="Running", containerStatuses=container(running={}))]) == "running"
    assert exit_code([pod("1", containerStatuses=container(terminated=end))]) == 2
    assert exit_code([pod("1")]) is exit_code([]) is None


_JSON = st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner, max_size=2), max_leaves=4)


@given(_JSON)
def test_text_of_others_is_one_line(message: object) -> None:
    waiting = {"reason": "A", "message": message}
    assert in_words([pod("1", containerStatuses=container(waiting=waiting))]).isprintable()


POD = PodOfSearch("mine", "orchestrator:v1", "Always", "searcher", KubernetesSettings(store_secret="keys"))


def test_entries_of_the_release_win_over_its_form() -> None:
    """Whoever has no Helm changes an entry, and the searches that are submitted are changed with it."""
    form: dict[str, Any] = copy.deepcopy(TEMPLATE)
    (own,) = form["spec"]["template"]["spec"]["containers"]
    own |= {"image": "old", "env": [{"name": "METAQNN_RELEASE", "value": "old"}, {"name": "MORE", "value": "mine"}]}
    made = search_job(form, POD, "night", "s3://bucket", ["start"], {SETTINGS: ""})["spec"]["template"]["spec"]
    assert made["serviceAccountName"] == "searcher"
    (container,) = made["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("orchestrator:v1", "Always")
    environment = {entry["name"]: entry.get("value") or entry["valueFrom"] for entry in container["env"]}
    assert (environment["METAQNN_RELEASE"], environment["MORE"]) == ("mine", "mine")
    assert environment["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": {"name": "keys", "key": "AWS_ACCESS_KEY_ID"}}
    bare = POD._replace(image="", service_account="", image_pull_policy="")
    kept = search_job(form, bare, "night", "s3://bucket", ["start"], {SETTINGS: ""})
    assert kept["spec"]["template"]["spec"]["containers"][0]["image"] == "old", "of an older chart"
    del own["image"]
    with pytest.raises(BadInput, match=r"names no image, and the release has no entry orchestrator\.image"):
        search_job(form, bare, "night", "s3://bucket", ["start"], {SETTINGS: ""})


def test_what_makes_no_search() -> None:
    def job(template: dict[str, Any], text: str = "") -> dict[str, Any]:
        return search_job(template, POD, "night", "s3://bucket", ["start"], {SETTINGS: text})

    good = job(TEMPLATE)
    assert not read_carried(good).trials, "it is nobody's trial"
    assert "args" not in TEMPLATE["spec"]["template"]["spec"]["containers"][0]
    with pytest.raises(BadInput, match="has no container 'orchestrator'"):
        job({})
    with pytest.raises(BadInput, match="sandbox"):
        job({"spec": {"template": {"spec": {"hostNetwork": True}}}})
    with pytest.raises(BadInput, match="more than"):
        job(TEMPLATE, "ä" * (MAX_FILES // 2 + 1))
