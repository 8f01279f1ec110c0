"""What a person is told to do about what the cluster refuses. The words are a real 1.36.2 server's."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.refusals import refusal
from metaqnn_orch.launchers.kubernetes.standstill import Standstill
from metaqnn_orch.launchers.kubernetes.status import Status, Stuck

POLICY = (
    "jobs.batch \"x-1\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: images come from "
    "registry.corp alone"
)
WEBHOOK = 'admission webhook "validate.kyverno.svc-fail" denied the request: policy require-team-label: add label team'
MEMORY = 'pods "x" is forbidden: maximum memory usage per Container is 128Mi, but limit is 512Mi'
CPU = 'pods "x" is forbidden: minimum cpu usage per Container is 1, but request is 100m'

TAINTED = "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to deallocate"
CORDONED = "0/1 nodes are available: 1 node(s) were unschedulable"
FULL = "0/1 nodes are available: 1 Insufficient memory"


@pytest.mark.parametrize(
    ("status", "reason", "message", "words"),
    [
        (422, "Invalid", POLICY, "a policy of the cluster refuses it, in the words above"),
        (403, "Forbidden", POLICY, "a policy of the cluster refuses it, in the words above"),
        (400, "", WEBHOOK, "a policy of the cluster refuses it, in the words above"),
        (403, "Forbidden", MEMORY, "change execution.kubernetes.memory"),
        (422, "Invalid", 'Job.batch "x" is invalid: spec.template: Invalid value', "execution.kubernetes.template"),
        (403, "Forbidden", 'User "ada" cannot create resource "jobs"', "lists every permission"),
        (403, "Forbidden", "exceeded quota: q", "kubectl describe quota"),
    ],
)
def test_a_refusal(status: int, reason: str, message: str, words: str) -> None:
    body = json.dumps({"message": message, "reason": reason})
    told = refusal(SimpleNamespace(status=status, headers={}, body=body, reason=""), "create job x-1")
    assert message[-30:] in str(told), "its own words"
    assert words in told.hint


@pytest.mark.parametrize(
    ("stuck", "detail", "words"),
    [
        (Stuck.ADMISSION, f"no Pod can be created: Error creating: {POLICY}", "a policy of the cluster refuses it"),
        (Stuck.ADMISSION, f"no Pod can be created: Error creating: {MEMORY}", "chart: trainer.memory"),
        (Stuck.ADMISSION, f"no Pod can be created: Error creating: {CPU}", "change execution.kubernetes.cpu"),
        (Stuck.CONFIG, 'container trainer: secret "keys" not found', "kubectl create secret generic keys"),
        (Stuck.CONFIG, "couldn't find key B in Secret trials/keys", "add B to secret trials/keys"),
        (Stuck.IMAGE, "container trainer: ErrImagePull", "tries again by itself"),
        (Stuck.QUOTA, "exceeded quota", "goes on when there is room"),
        (Stuck.UNSCHEDULABLE, f"no node accepts it: {TAINTED}", "tolerates taints and chooses nodes"),
        (Stuck.UNSCHEDULABLE, f"no node accepts it: {CORDONED}", "whether they are cordoned"),
        (Stuck.UNSCHEDULABLE, f"no node accepts it: {FULL}", "no node has enough free resources"),
        (Stuck.UNSCHEDULABLE, f"no node accepts it: {FULL}, {TAINTED}", "no node has enough free resources"),
    ],
)
def test_what_stands_still(stuck: Stuck, detail: str, words: str) -> None:
    judged = Standstill(patience=0.0)
    judged.judge(["u"], {"u": Status(Phase.PENDING, detail, stuck)})
    assert judged.trouble.startswith(detail)
    assert words in judged.trouble
