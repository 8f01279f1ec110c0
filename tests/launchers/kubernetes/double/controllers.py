"""Job controller, scheduler and kubelet in one. A container is a process of this machine that runs its own command."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from tests.launchers.kubernetes.double.api import Api
from tests.launchers.kubernetes.double.checks import ENDS, has_ended, is_true
from tests.launchers.kubernetes.double.objects import Object, Refused, mark_deleted

NODE = "node-1"
CONTROLLER = "kubernetes.io/job-controller"


class Controllers:
    """They begin when started, and end with their processes when closed."""

    def __init__(self, api: Api, images: Mapping[str, Sequence[str]]) -> None:
        """`images`: for each image that can be pulled, its entry point."""
        self.api = api
        self.images = dict(images)
        self.secrets: dict[str, dict[str, str]] = {}
        self.places = 1_000
        """How many Pods can run at a time."""
        self.finishing = True
        """Whether the Job controller notices that Pods ended."""
        self.logs: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._accounted: set[str] = set()  # Pods whose end the Job controller has seen: until then they stay
        self._made: set[str] = set()  # Jobs that had a Pod since they were last suspended, by uid
        self._spared: set[str] = set()  # Pods that were ended because their Job was suspended: they are not counted
        self._failures: dict[str, int] = {}  # Pods of a Job that failed, by the Job's uid
        self._closed = False
        self._pods = 0
        api.logs = lambda namespace, pod: self.logs.get(pod, "")
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        with self.api.objects.changed:
            self.api.objects.changed.notify_all()
        self._thread.join()
        for process in list(self._processes.values()):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def evict(self, pod: Object, reason: str = "EvictionByEvictionAPI") -> None:
        """What a drain does: the Pod is asked to stop, and says that it is no fault of its own."""
        self._pod(
            pod, lambda it: it["status"].setdefault("conditions", []).append(condition("DisruptionTarget", reason))
        )
        self._pod(pod, mark_deleted)

    def kill(self, pod: Object) -> None:
        """SIGKILL from nowhere."""
        self._processes[pod["metadata"]["uid"]].kill()

    def fail(self, pod: Object, reason: str, message: str = "") -> None:
        """The node ends it: no container speaks any more."""
        self._pod(pod, lambda it: it.__setitem__("status", {"phase": "Failed", "reason": reason, "message": message}))

    def _run(self) -> None:
        seen = -1
        while not self._closed:
            with self.api.objects.changed:
                if self.api.objects.version == seen:
                    self.api.objects.changed.wait(0.05)
                seen = self.api.objects.version
            for job in self.api.objects.all("jobs"):
                self._reconcile(job)
            for pod in self.api.objects.all("pods"):
                self._drive(pod)

    # The Job controller.

    def _reconcile(self, job: Object) -> None:
        leaves = "deletionTimestamp" in job["metadata"]
        if leaves or has_ended(job) or job["spec"].get("managedBy", CONTROLLER) != CONTROLLER:
            return
        namespace, uid = job["metadata"]["namespace"], job["metadata"]["uid"]
        own = [pod for pod in self.api.objects.all("pods", namespace) if uid in owners(pod)]
        ended = [pod for pod in own if pod["status"].get("phase") in ("Succeeded", "Failed")]
        left = [pod for pod in own if pod not in ended]
        leaving = [pod for pod in left if "deletionTimestamp" in pod["metadata"]]
        failed_now = {pod["metadata"]["uid"] for pod in ended if pod["status"]["phase"] == "Failed"}
        fresh = failed_now - self._accounted - self._spared
        self._failures[uid] = self._failures.get(uid, 0) + len(fresh)
        self._accounted |= {pod["metadata"]["uid"] for pod in ended}
        counts = {
            "active": len(left) - len(leaving),
            "ready": sum(pod["status"]["phase"] == "Running" for pod in left if pod not in leaving),
            "terminating": len(leaving),
            "succeeded": sum(pod["status"]["phase"] == "Succeeded" for pod in ended),
            "failed": self._failures[uid],
        }
        suspended = bool(job["spec"].get("suspend"))
        self._job(job, lambda it: told(it, counts, suspended))
        if is_true(job, "FailureTarget") or is_true(job, "SuccessCriteriaMet"):
            self._end(job, left)
        elif suspended:
            # The real one looks at every Pod that is still there, also at those that it ended itself.
            if policy := next((v for pod in ended if (v := verdict(job, pod)) and v["type"] == "Failed"), None):
                self._job(job, lambda it: add_condition(it, {**policy, "type": ENDS["Failed"]}))
                return
            self._made.discard(uid)
            for pod in own:
                self._spared.add(pod["metadata"]["uid"])
                self._pod(pod, mark_deleted)
        elif self.finishing and not (left if only_failed_are_replaced(job) else counts["active"]):
            self._judge(job, own, ended)

    def _judge(self, job: Object, own: list[Object], ended: list[Object]) -> None:
        """Announce how the Job ends, or make it another Pod."""
        uid = job["metadata"]["uid"]
        verdicts = [verdict(job, pod) for pod in ended]
        if uid in self._made and not own:
            verdicts.append(failed("BackoffLimitExceeded"))
        if self._failures[uid] > job["spec"].get("backoffLimit", 6):
            verdicts.append(failed("BackoffLimitExceeded"))
        final = next((v for v in verdicts if v is not None), None)
        if final is None:
            self._create_pod(job)
        else:
            self._job(job, lambda it: add_condition(it, {**final, "type": ENDS[final["type"]]}))

    def _end(self, job: Object, left: list[Object]) -> None:
        """End a Job whose end is announced, when its last Pod has ended."""
        for pod in left:
            self._pod(pod, mark_deleted)
        if not left:
            end = "Failed" if is_true(job, "FailureTarget") else "Complete"
            why = next(c for c in job["status"]["conditions"] if c["type"] == ENDS[end])
            self._job(job, lambda it: add_condition(it, {**why, "type": end}))

    def _create_pod(self, job: Object) -> None:
        template, metadata = job["spec"]["template"], job["metadata"]
        self._pods += 1
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        pod = {
            "metadata": {
                "name": f"{metadata['name']}-{self._pods:05x}",
                "labels": {**template["metadata"].get("labels", {}), "batch.kubernetes.io/job-name": metadata["name"]},
                "annotations": {**template["metadata"].get("annotations", {})},
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        try:
            self.api.create("pods", metadata["namespace"], pod)
        except Refused as refused:
            self.warn(job, "FailedCreate", f"Error creating: {refused}")
            return
        self._made.add(metadata["uid"])

    def warn(self, thing: Object, reason: str, message: str) -> None:
        """An event; the same one is noted once."""
        about = {key: thing["metadata"][key] for key in ("name", "namespace", "uid")} | {"kind": thing["kind"]}
        name = f"{about['name']}.{reason.lower()}"
        event = {"metadata": {"name": name}, "type": "Warning", "reason": reason, "message": message}
        with suppress(Refused):
            self.api.objects.create(
                "events",
                about["namespace"],
                {**event, "involvedObject": about, "lastTimestamp": "2026-01-01T00:00:00Z"},
            )

    # Scheduler and kubelet.

    def _drive(self, pod: Object) -> None:
        uid, status = pod["metadata"]["uid"], pod["status"]
        if "deletionTimestamp" in pod["metadata"]:
            process = self._processes.get(uid)
            accounted = uid in self._accounted or status["phase"] == "Pending" or self._orphaned(pod)
            if process is not None:
                process.terminate()
            elif accounted:
                self.api.objects.remove("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], uid)
            return
        if status["phase"] != "Pending" or uid in self._processes:
            return
        if len(self._processes) >= self.places:
            condition_ = condition("PodScheduled", "Unschedulable", "0/1 nodes are available: 1 full.", "False")
            self._pod(pod, lambda it: it.update(status={"phase": "Pending", "conditions": [condition_]}))
            return
        container = next(c for c in pod["spec"]["containers"] if c["name"] in ("trainer", "orchestrator"))
        if container["image"] not in self.images:
            self._wait(pod, "ImagePullBackOff", f'Back-off pulling image "{container["image"]}"')
            return
        environment = {"PATH": os.environ["PATH"], "NODE": NODE}
        for entry in container.get("env", ()):
            value = self._value(entry, pod)
            if value is None:
                self._wait(pod, "CreateContainerConfigError", f"{entry['name']}: secret not found")
                return
            environment[entry["name"]] = value
        command = [*self.images[container["image"]], *container["args"]]
        try:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
        except OSError as error:
            end = {"exitCode": 128, "reason": "StartError", "message": f'exec: "{command[0]}": {error.strerror}'}
            statuses = [{"name": "trainer", "state": {"terminated": end}}]
            self._pod(pod, lambda it: it.update(status={"phase": "Failed", "containerStatuses": statuses}))
            return
        self._processes[uid] = process
        running = [{"name": "trainer", "state": {"running": {}}}]
        self._pod(
            pod,
            lambda it: (
                it["spec"].update(nodeName=NODE),
                it.update(status={"phase": "Running", "containerStatuses": running}),
            ),
        )
        Thread(target=self._watch, args=(pod, process), daemon=True).start()

    def _watch(self, pod: Object, process: subprocess.Popen[str]) -> None:
        limit = pod["spec"].get("activeDeadlineSeconds")
        late = False
        started = time.monotonic()
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            late = True
            process.send_signal(signal.SIGKILL)
            output, _ = process.communicate()
        uid, code = pod["metadata"]["uid"], process.returncode
        self.logs[pod["metadata"]["name"]] = output
        code = 128 - code if code < 0 else code
        end = {"exitCode": code, "reason": "Error" if code else "Completed", "message": output[-2048:] if code else ""}
        statuses = [{"name": "trainer", "state": {"terminated": {**end, "seconds": time.monotonic() - started}}}]

        def ended(it: Object) -> None:
            it["status"] |= {"phase": "Failed" if code or late else "Succeeded", "containerStatuses": statuses}
            if late:
                it["status"]["reason"] = "DeadlineExceeded"

        self._pod(pod, ended)
        self._processes.pop(uid, None)
        with self.api.objects.changed:
            self.api.objects.changed.notify_all()

    def _value(self, entry: Object, pod: Object) -> str | None:
        if "valueFrom" not in entry:
            return str(entry.get("value", ""))
        if "fieldRef" in entry["valueFrom"]:
            return str(pod["metadata"].get(entry["valueFrom"]["fieldRef"]["fieldPath"].removeprefix("metadata."), ""))
        reference = entry["valueFrom"]["secretKeyRef"]
        secret = self.secrets.get(reference["name"], {})
        return secret.get(reference["key"], "" if reference.get("optional") else None)

    def _orphaned(self, pod: Object) -> bool:
        return all(job["metadata"]["uid"] not in owners(pod) for job in self.api.objects.all("jobs"))

    def _wait(self, pod: Object, reason: str, message: str) -> None:
        waiting = [{"name": "trainer", "state": {"waiting": {"reason": reason, "message": message}}}]
        self._pod(pod, lambda it: it.update(status={"phase": "Pending", "containerStatuses": waiting}))

    def _job(self, job: Object, change: Any) -> None:
        self.api.objects.update("jobs", job["metadata"]["namespace"], job["metadata"]["name"], change)

    def _pod(self, pod: Object, change: Any) -> None:
        self.api.objects.update("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], change)


def owners(pod: Object) -> set[str]:
    """The uids of the Pod's owners: one, or none where its Job was deleted without it."""
    return {owner["uid"] for owner in pod["metadata"].get("ownerReferences", ())}


def condition(kind: str, reason: str, message: str = "", status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def failed(reason: str, message: str = "Job has reached the specified backoff limit") -> Object:
    return condition("Failed", reason, message)


def add_condition(job: Object, new: Object) -> None:
    status = job.setdefault("status", {})
    status.setdefault("conditions", []).append(new)
    if new["type"] == "Complete":
        status["completionTime"] = moment()


def moment() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def told(job: Object, counts: Mapping[str, int], suspended: bool) -> None:
    """Have the Job say how many Pods it has, whether it is suspended, and since when it is not."""
    status = job.setdefault("status", {})
    status.update(counts)
    if suspended:
        status.pop("startTime", None)
    else:
        status.setdefault("startTime", moment())
    others = [c for c in status.get("conditions", ()) if c["type"] != "Suspended"]
    if suspended:
        status["conditions"] = [*others, condition("Suspended", "JobSuspended")]
    elif len(others) < len(status.get("conditions", ())):
        status["conditions"] = [*others, condition("Suspended", "JobResumed", status="False")]


def only_failed_are_replaced(job: Object) -> bool:
    """Whether a Pod that is being ended must have ended before another takes its place."""
    default = "Failed" if "podFailurePolicy" in job["spec"] else "TerminatingOrFailed"
    return str(job["spec"].get("podReplacementPolicy", default)) == "Failed"


def verdict(job: Object, pod: Object) -> Object | None:
    """What an ended Pod makes of its Job; None: another Pod takes its place, unless there were too many."""
    if pod["status"]["phase"] == "Succeeded":
        return condition("Complete", "CompletionsReached")
    states = pod["status"].get("containerStatuses") or [{}]
    code = states[0].get("state", {}).get("terminated", {}).get("exitCode")
    disrupted = any(c["type"] == "DisruptionTarget" for c in pod["status"].get("conditions", ()))
    for index, rule in enumerate(job["spec"].get("podFailurePolicy", {}).get("rules", ())):
        if disrupted and rule.get("onPodConditions"):
            return None
        codes = rule.get("onExitCodes", {})
        if code and codes and (code in codes["values"]) == (codes["operator"] == "In"):
            if rule["action"] == "Count":
                return None
            text = f"Container trainer for pod x failed with exit code {code} matching FailJob rule at index {index}"
            return failed("PodFailurePolicy", text)
    return None
