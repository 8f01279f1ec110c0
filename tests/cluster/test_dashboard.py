"""The chart's dashboard on a real cluster, in a real browser: behind its token, live while a search trains in Pods, and
with keys that may only read.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.cli.conftest import TINY, Cli, cli, own_environment
from tests.cluster.real import needs_address, needs_cluster, needs_image, needs_orchestrator
from tests.cluster.test_chart import World, ended, world
from tests.dashboard.driver import browsing
from tests.helm import program
from tests.reporting.browser import needs_chromium
from tests.seaweedfs import READER

__all__ = ["cli", "own_environment", "world"]
pytestmark = [
    needs_cluster,
    needs_image,
    needs_address,
    needs_orchestrator,
    needs_chromium,
    pytest.mark.usefixtures("own_environment"),
    pytest.mark.timeout(900),
]

TOKEN = "a-token-that-somebody-made"
ON = (
    *("--set=dashboard.enabled=true", "--set=dashboard.token.existingSecret=page-token"),
    "--set=dashboard.storeSecret=reading",
    '--set-json=dashboard.resources.requests={"cpu": "50m", "ephemeral-storage": 0}',  # as the tests' other Pods
)


def kubectl(world: World, command: str, *more: str) -> str:
    return subprocess.run(
        [program("kubectl"), *command.split(), f"--namespace={world.real.name}", *more],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def forwarded(world: World) -> Iterator[int]:
    """The port of this machine that leads to the dashboard's Service."""
    command = ["port-forward", f"--namespace={world.real.name}", "service/first-metaqnn-web", ":8080"]
    with subprocess.Popen([program("kubectl"), *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            match = re.search(r"127\.0\.0\.1:(\d+) ->", said)
            assert match is not None, said
            yield int(match[1])
        finally:
            process.terminate()


def asked(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """The status and the content of an answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def known(port: int, path: str) -> Any:
    status, data = asked(port, path, Authorization=f"Bearer {TOKEN}")
    assert status == 200, data
    return json.loads(data)


def stored(world: World) -> set[tuple[str, str, str]]:
    """Every object of the bucket, with its digest and the time at which it was written."""
    with closing(boto3.client("s3", endpoint_url=world.server.endpoint, region_name="us-east-1")) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=world.server.bucket)
        return {
            (entry["Key"], entry["ETag"], str(entry["LastModified"]))
            for page in pages
            for entry in page.get("Contents", ())
        }


def test_the_dashboard_shows_a_search_while_it_trains(world: World, cli: Cli, tmp_path: Path) -> None:
    world.real.put_secret("page-token", token=TOKEN)
    world.real.put_secret("reading", id=READER, secret=world.server.secret_key)
    world.install(*ON)
    kubectl(world, "rollout status deployment/first-metaqnn-web --timeout=3m")
    ended(cli("submit", *TINY, "--run=inside", world.release))
    with forwarded(world) as port, browsing(tmp_path / "profile") as browser:
        for headers, status in (({}, 401), ({"Authorization": "Bearer another-token-of-mine"}, 401)):
            assert asked(port, "/api/runs", **headers)[0] == status
        assert asked(port, "/?token=another")[0] == 401
        assert asked(port, "/api/runs", "POST", Authorization=f"Bearer {TOKEN}")[0] == 405
        assert asked(port, "/api/runs", Host="runs.example", Authorization=f"Bearer {TOKEN}")[0] == 421

        here = f"http://127.0.0.1:{port}"
        browser.size(1280).open(f"{here}/?token={TOKEN}")
        browser.until("document.querySelector('tbody a')?.textContent === 'inside'")
        assert browser.value("location.href") == f"{here}/", "the token has left the address"
        browser.open(f"{here}/runs/inside")
        seen: list[int] = []
        deadline = time.monotonic() + 400
        while not seen or seen[-1] < 5:
            assert time.monotonic() < deadline, (seen, browser.value("document.body.innerText"))
            done = browser.value("document.querySelector('.bar progress')?.value ?? 0")
            if [done] != seen[-1:]:
                seen.append(done)
            time.sleep(0.2)
        assert len(seen) > 3, "it moves with the search, without being opened again"
        assert seen == sorted(seen)
        ended(cli("attach", "inside", world.release))
        browser.until("document.querySelector('.lead').textContent.includes('complete')")

        before = stored(world)
        best = known(port, "/api/runs/inside")["status"]["best"]["trial"]
        for path in ("", "/trials", "/figures", "/beliefs", "/verdict", f"/trials/{best}", f"/trials/{best}/files"):
            known(port, f"/api/runs/inside{path}")
        weights = f"/runs/inside/trials/{best}/files/weights.safetensors"
        status, data = asked(port, weights, Authorization=f"Bearer {TOKEN}")
        assert (status, len(data) > 1000) == (200, True)
        browser.size(390).open(f"{here}/runs/inside/trials/{best}").until(
            "document.querySelector('.drawing svg') !== null"
        )
        assert browser.value("document.documentElement.scrollWidth") <= 390
        assert stored(world) == before
        assert [address for address in browser.requests if not address.startswith((here, "about:"))] == []
        assert browser.complaints == []
    (pod,) = [pod for pod in world.real.pods() if "-web-" in pod.metadata.name]
    assert pod.status.container_statuses[0].restart_count == 0
    log = kubectl(world, f"logs {pod.metadata.name}")
    assert "/?token=$METAQNN_DASHBOARD_TOKEN" in log
    assert TOKEN not in log, "more people may read logs than secrets"
    assert "Traceback" not in log
