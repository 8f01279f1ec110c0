"""`make bench-cluster`: hundreds of Jobs in flight, thousands of trials, through the installed command.

Nothing is trained. On a stand-in for the API (tests/launchers/kubernetes/double), or with KUBECONFIG set on a real API
server, whose Jobs then need no node, a marker watches for Jobs, and when their time is over writes their results and
marks them complete. Before that the bare client creates as many Jobs as it can, in turns with searches that begin.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any, Final

from kubernetes import client, config
from tests.cli.conftest import put_dataset
from tests.control.world import INFO as DIGITS
from tests.control.world import deliver
from tests.launchers.kubernetes.double.api import Api, serving
from tests.launchers.kubernetes.double.kubeconfig import write_kubeconfig

from benchmarks.measure import Spread, machine, markdown, save
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, manifest
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec
from metaqnn_trainer.store.directory import DirectoryStore

ROOT: Final = Path(__file__).parents[1]
NAMESPACE: Final = "metaqnn-bench"
THREADS: Final = 4  # of the bare client and of the marker; the launcher has as many
TRIES: Final = 200  # to mark a Job whose status another changes; a controller may be ten seconds behind
INFO: Final = DIGITS.model_copy(update={"name": "svhn", "channels": 3, "image_size": 32})

processes = multiprocessing.get_context("spawn")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-cluster", description=__doc__)
    parser.add_argument("--in-flight", type=int, default=300)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=10.0, help="that a Job lasts, give or take a half")
    parser.add_argument("--repeats", type=int, default=3, help="of the comparison with the bare client")
    parser.add_argument("--name", help="of the cluster, for the names of the files written: double or real")
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=".") as here, _cluster(Path(here)) as (kubeconfig, asked):
        content = {
            "in_flight": options.in_flight,
            "trials": options.trials,
            "seconds": options.seconds,
            "repeats": options.repeats,
            **_creations(Path(here).resolve(), kubeconfig, options),
        }
        before = sum(asked().values())
        content |= _search(
            Path(here).resolve(), kubeconfig, "bench", options.in_flight, options.trials, options.seconds
        )
        content["requests_per_trial"] = (sum(asked().values()) - before) / options.trials
    name = options.name or ("real" if "KUBECONFIG" in os.environ else "double")
    content = {"machine": machine("kubernetes"), **content}
    save(options.to, f"cluster-{name}", f"A cluster's many Jobs ({name})", _table(content), content)


@contextmanager
def _cluster(here: Path) -> Iterator[tuple[Path, Callable[[], dict[str, int]]]]:
    """A kubeconfig, and how to learn how many requests of each kind the orchestrator made, where that can be known."""
    if "KUBECONFIG" in os.environ:
        config.load_kube_config()
        core = client.CoreV1Api()
        core.create_namespace({"metadata": {"name": NAMESPACE}})
        try:
            yield Path(os.environ["KUBECONFIG"]), dict
        finally:
            core.delete_namespace(NAMESPACE)
        return
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    url, token = ours.recv()

    def asked() -> dict[str, int]:
        ours.send("asked")
        return dict(ours.recv())

    yield write_kubeconfig(here / "kubeconfig", url, token, NAMESPACE), asked
    process.kill()


def _serve(connection: Connection) -> None:
    """The double, in a process of its own."""
    api = Api()
    api.bookmark_seconds = 30.0
    with serving(api) as url:
        connection.send((url, api.token))
        while True:
            connection.recv()
            connection.send(Counter(f"{ask.verb} {ask.resource}" for ask in api.asked if ask.verb != "patch"))


def _creations(here: Path, kubeconfig: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Jobs a second of the bare client and of a search that begins, in turns."""
    count = options.in_flight
    found: dict[str, list[float]] = {"bare_1": [], f"bare_{THREADS}": [], "ours": [], "ours_whole": []}
    for repeat in range(options.repeats):
        for threads in (1, THREADS):
            found[f"bare_{threads}"].append(_bare(kubeconfig, count, threads))
        search = _search(here, kubeconfig, f"fill-{repeat}", count, count, 3.0)
        found["ours"].append(search["creates_per_second"])
        found["ours_whole"].append(count / search["fill_seconds"])
    shares = [own / bare for own, bare in zip(found["ours"], found[f"bare_{THREADS}"], strict=True)]
    spreads = {name: Spread.of(values)._asdict() for name, values in found.items()}
    return {"creates_per_second": spreads, "share_of_bare": Spread.of(shares)._asdict()}


def _request(number: int) -> TrainingRequest:
    spec = TrialSpec(net="[SM(10)]", dataset=DatasetRef(name="svhn", digest=f"{number:016x}"), image_size=32)
    return TrainingRequest(run="bare", trial=spec.trial_id(), spec=spec)


def _bare(kubeconfig: Path, count: int, threads: int) -> float:
    """Jobs a second that the bare client creates."""
    config.load_kube_config(str(kubeconfig))
    form = JobForm("s3://bucket", KubernetesSettings(image="none"), {})
    bodies = [manifest(_request(number), 1, "b" * 32, form) for number in range(count)]
    for body in bodies:
        body["spec"]["suspend"] = True  # a real cluster makes no Pods of them
    batch = client.BatchV1Api()

    def create(body: Any) -> bytes:
        # Read to its end: a connection whose answer was not read is not used again.
        return bytes(batch.create_namespaced_job(NAMESPACE, body, _preload_content=False).data)

    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(create, bodies))
        seconds = time.perf_counter() - begun
        policy = {"propagationPolicy": "Background"}
        list(pool.map(lambda it: batch.delete_namespaced_job(it["metadata"]["name"], NAMESPACE, body=policy), bodies))
    return count / seconds


class Marker:
    """Ends Jobs when their time is over, and notes when each began and ended."""

    def __init__(self, kubeconfig: Path, store: DirectoryStore, run: str, seconds: float) -> None:
        config.load_kube_config(str(kubeconfig))
        self._batch = client.BatchV1Api()
        self._store = store
        self._run = run
        self._seconds = seconds
        self._due: list[tuple[float, str, str]] = []
        self._started: dict[str, str] = {}  # when Jobs started, by name, where a controller says so
        self._changed = Condition()
        self.ready = Event()
        self.begun: list[float] = []
        self.ended: list[float] = []
        for target in (self._watch, *[self._end] * THREADS):
            Thread(target=target, daemon=True).start()

    def _watch(self) -> None:
        # From a listing on, as all watch: without a version, a server that is quiet may refuse for a while.
        listing = json.loads(self._batch.list_namespaced_job(NAMESPACE, limit=1, _preload_content=False).data)
        stream = self._batch.list_namespaced_job(
            NAMESPACE,
            watch=True,
            resource_version=listing["metadata"]["resourceVersion"],
            label_selector=f"metaqnn/run={self._run}",
            timeout_seconds=3600,
            _preload_content=False,
        )
        self.ready.set()
        rest = b""
        for chunk in stream.stream(65536, decode_content=False):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of the Jobs ended: {event['object']}")
                metadata, status = event["object"]["metadata"], event["object"].get("status", {})
                with self._changed:
                    if start := status.get("startTime"):
                        self._started[metadata["name"]] = start
                    if event["type"] == "ADDED":
                        self.begun.append(time.time())
                        trial = metadata["labels"]["metaqnn/trial"]
                        lasts = self._seconds * random.Random(trial).uniform(0.5, 1.5)  # as no two nets take the same
                        heapq.heappush(self._due, (time.monotonic() + lasts, metadata["name"], trial))
                        self._changed.notify()

    def _end(self) -> None:
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._changed.wait(max(0.0, self._due[0][0] - time.monotonic()) if self._due else None)
                _, name, trial = heapq.heappop(self._due)
            request = decode(TrainingRequest, self._store.get(keys.request(self._run, trial)), trial)
            deliver(self._store, request, 1, INFO.images().channels)
            moment = self._complete(name)
            with self._changed:
                self.ended.append(moment)

    def _complete(self, name: str) -> float:
        """Say that the Job is complete, as the Job controller does, which alone may: servers refuse an end that was
        not announced, one with Pods that are at work, and another start. Returns when the accepted request was sent.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        said = {"status": "True", "reason": "Marked", "lastTransitionTime": now}
        status = {
            "conditions": [{**said, "type": kind} for kind in ("SuccessCriteriaMet", "Complete")],
            **dict.fromkeys(("active", "ready", "terminating"), 0),
            "completionTime": now,
        }
        tries = 0
        while True:
            tries += 1
            with self._changed:
                body = {"status": {**status, "startTime": self._started.get(name, now)}}
            moment = time.time()
            try:
                _ = self._batch.patch_namespaced_job_status(name, NAMESPACE, body, _preload_content=False).data
                return moment
            except client.ApiException as error:
                if error.status != 422 or tries == TRIES:
                    raise
            time.sleep(0.05)  # its controller said just now that it started, and the watch will say when


def _mark(connection: Connection, kubeconfig: Path, store: str, run: str, seconds: float) -> None:
    marker = Marker(kubeconfig, DirectoryStore(store, durable=False), run, seconds)
    marker.ready.wait()
    connection.send("ready")
    connection.recv()
    connection.send((marker.begun, marker.ended))


def _search(here: Path, kubeconfig: Path, run: str, in_flight: int, trials: int, seconds: float) -> dict[str, Any]:
    """One search through the installed command, whose Jobs take `seconds`, give or take a half."""
    here = here / run
    here.mkdir()
    place = here / "store"
    put_dataset(DirectoryStore(place), INFO)
    ours, theirs = processes.Pipe()
    marker = processes.Process(target=_mark, args=(theirs, kubeconfig, str(place), run, seconds), daemon=True)
    marker.start()
    ours.recv()
    template = here / "template.json"
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(here)}]}
    volume = {"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}
    template.write_text(json.dumps({"spec": {"template": {"spec": {"containers": [mount], "volumes": [volume]}}}}))
    command = ["start", "svhn", f"--run={run}", "--store", str(place), "--launcher=kubernetes", "-o", "json"]
    command += [f"--parallel={in_flight}", f"--max-trials={trials}"]
    sets = {"image": "none", "namespace": NAMESPACE, "template": template, "creates_per_second": 1000.0}
    command += [f"--set=execution.kubernetes.{key}={value}" for key, value in sets.items()]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    with (here / "errors").open("wb") as errors, (here / "answer").open("wb") as answer:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peak", *command], env=environment, stdout=answer, stderr=errors
        )
        memory = []
        while process.poll() is None:
            memory.append(_resident_mib(process.pid))
            time.sleep(0.5)
    run_seconds = time.perf_counter() - begun
    said = (here / "errors").read_text()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said[-1000:]}")
    ours.send("end")
    created, ended = map(sorted, ours.recv())
    marker.kill()
    first = created[:in_flight]
    opened = min(file.stat().st_mtime for file in (place / keys.run(run) / "journal").iterdir())
    found: dict[str, Any] = {
        "creates_per_second": (len(first) - 1) / (first[-1] - first[0]),
        "fill_seconds": first[-1] - opened,
    }
    waits = [(begin - end) * 1e3 for begin, end in zip(created[in_flight:], ended, strict=False)]
    if not waits:
        return found
    cpu_seconds, peak = map(float, said.split()[-2:])
    return {
        "run_seconds": run_seconds,
        "cpu_seconds": cpu_seconds,
        "next_job_ms": {"median": statistics.median(waits), "p95": statistics.quantiles(waits, n=20)[-1]},
        "peak_mb": peak,
        "resident_mb": [memory[len(memory) * part // 10] for part in (2, 5, 8)],
        "status_seconds": _status(run, place, environment),
    }


def _resident_mib(pid: int) -> float:
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return 0.0
    return int(fields.get("VmRSS", "0 kB").split()[0]) / 2**10


def _status(run: str, place: Path, environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.peak", "status", run, "--store", str(place), "-o", "json"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def _table(found: Mapping[str, Any]) -> str:
    early, middle, late = found["resident_mb"]
    requests = found["requests_per_trial"]
    rates = {name: Spread(**spread).text(".0f") for name, spread in found["creates_per_second"].items()}
    rows = [
        [
            "from a Job's end to the next Job, ms",
            f"median {found['next_job_ms']['median']:.0f}, p95 {found['next_job_ms']['p95']:.0f}",
        ],
        [f"creations a second, {THREADS} threads", rates["ours"]],
        ["the same, with the nets drawn and their requests written before", rates["ours_whole"]],
        [f"the bare client, {THREADS} threads", rates[f"bare_{THREADS}"]],
        ["the bare client, one thread", rates["bare_1"]],
        ["ours to the bare client's", Spread(**found["share_of_bare"]).text(".0%")],
        [
            "memory of the orchestrator, MB",
            f"{early:.0f} early, {middle:.0f} halfway, {late:.0f} late; peak {found['peak_mb']:.0f}",
        ],
        ["processor seconds of the orchestrator", f"{found['cpu_seconds']:.0f} in {found['run_seconds']:.0f} s"],
        ["API requests for each trial", f"{requests:.2f}" if requests else "not counted"],
        ["status of the run, s", f"{found['status_seconds']:.1f}"],
    ]
    lasts = f"{found['seconds']:g} s each, give or take a half; rates: median (quartiles) of {found['repeats']}"
    return f"{found['trials']:,} trials, {found['in_flight']} in flight, {lasts}\n\n" + markdown(["", ""], rows)


if __name__ == "__main__":
    main()
