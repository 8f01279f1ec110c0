"""Who may ask the dashboard, what it answers, and how it begins and ends."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM, Cli, clean_environment, tree
from tests.control.world import Session, settings
from tests.dashboard.conftest import Served, serving
from tests.reporting.runs import write_run


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a searched run, `test`, and a damaged one."""
    folder = tmp_path_factory.mktemp("runs")
    store = DirectoryStore(folder, durable=False)
    session = Session(store, settings())
    session.run_to_end()
    session.hold.release()
    store.put(keys.run_record("bad"), b"{}")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(folder) as found:
        yield found


def test_it_listens_on_this_machine_alone_and_needs_no_token_there(served: Served) -> None:
    assert served.said == {
        "url": f"{served.address}/",
        "host": "127.0.0.1",
        "port": served.said["port"],
        "token": None,
    }
    answer, page = served.ask("/runs/test")
    assert answer.status == 200
    assert b'<script type="module" src="/static/page.js">' in page


def test_a_damaged_run_is_named_and_the_others_are_shown(served: Served) -> None:
    until(lambda: not served.json("/api/runs")["reading"])
    bad, good = served.json("/api/runs")["rows"]
    assert bad["run"] == "bad"
    assert "run.json" in bad["error"]
    assert (good["run"], good["state"], good["unique"]) == ("test", "complete", 12)
    assert "run.json" in served.json("/api/runs/bad", status=409)["message"]
    assert "no run 'none'" in served.json("/api/runs/none", status=404)["message"]


def test_it_says_what_the_commands_say(served: Served, folder: Path, cli: Cli) -> None:
    shown = served.json("/api/runs/test")
    said = cli("status", "test", "--store", folder, "-o", "json").json()
    assert (said.pop("late_results"), said.pop("queued")) == (0, 0)
    assert shown["status"] == said
    rows = served.json("/api/runs/test/trials")
    for row, told in zip(rows, cli("trials", "test", "--store", folder, "-o", "json").json(), strict=True):
        assert told.items() <= row.items()
    told = cli("explain", "test", "--store", folder, "-o", "json").json()
    assert served.json("/api/runs/test/beliefs")["moves"] == told["moves"]
    first = told["moves"][0]["layer"]
    assert served.json(f"/api/runs/test/beliefs?after=[{first}]".replace(" ", "%20"))["after"] == f"[{first}]"


def test_every_figure_can_be_had_and_every_other_name_is_refused(served: Served) -> None:
    found = served.json("/api/runs/test/figures")
    names = [figure["name"] for figure in found["figures"]] + ["front:macs,seconds"]
    assert {"best-so-far", "accuracy-and-size", "figure-a3-q-by-layer-type"} <= {*names}
    for name in names:
        answer, data = served.ask(f"/api/runs/test/figures/{name}")
        assert (answer.status, data[:4]) == (200, b"<svg"), name
    assert served.json("/api/runs/test/figures/none", status=404)
    assert "there are" in served.json("/api/runs/test/figures/front:nonsense,reward", status=400)["hint"]


def test_a_trials_files_are_those_of_its_result_and_no_others(served: Served) -> None:
    trial = served.json("/api/runs/test/trials")[0]["trial"]
    found = served.json(f"/api/runs/test/trials/{trial}/files")
    assert {file["name"] for file in found} == {"request.json", "result.json", "weights.safetensors"} - (
        {"request.json"} - {file["name"] for file in found}
    )
    answer, data = served.ask(f"/runs/test/trials/{trial}/files/weights.safetensors")
    assert data.startswith(b"weights of [")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    for path in (f"{trial}/files/checkpoint", f"{trial}/files/..%2f..%2f..%2frun.json", "../journal/files/result.json"):
        assert served.ask(f"/runs/test/trials/{path}")[0].status in (400, 404), path


def test_a_damaged_file_is_not_given_and_stays(tmp_path: Path, folder: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = next(copy.rglob("weights-*"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    before = contents(copy)
    with serving(copy) as found:
        answer = found.json(f"/runs/test/trials/{weights.parent.name}/files/weights.safetensors", status=400)
    assert "sha256" in answer["message"]
    assert contents(copy) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_can_only_be_read(served: Served, method: str) -> None:
    for path in ("/", "/api/runs/test", "/healthz"):
        assert served.ask(path, method)[0].status == 405


def test_whatever_is_asked_the_store_stays_as_it_is(served: Served, folder: Path) -> None:
    before = contents(folder)
    trial = served.json("/api/runs/test/trials")[0]["trial"]
    for path in ("runs", "runs/test", "runs/test/figures", "runs/test/verdict", "runs/test/beliefs"):
        served.json(f"/api/{path}")
    for path in ("", "/drawing", "/files"):
        assert served.ask(f"/api/runs/test/trials/{trial}{path}")[0].status == 200
    assert contents(folder) == before


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "10.0.0.1", "127.0.0.1.evil.example"])
def test_a_foreign_name_is_not_answered(served: Served, host: str) -> None:
    assert served.ask("/api/runs", Host=host)[0].status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:80"])
def test_a_name_of_this_machine_is_answered_on_any_port(served: Served, host: str) -> None:
    assert served.ask("/healthz", Host=host)[0].status == 200


def test_every_answer_forbids_what_the_page_does_not_need(served: Served) -> None:
    for path in ("/", "/static/page.js", "/api/runs/test", "/nowhere", "/api/runs/none"):
        headers = served.ask(path)[0].headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_what_a_browser_has_is_not_sent_again(served: Served) -> None:
    for path in ("/api/runs/test", "/api/runs/test/trials", "/static/page.js", "/api/runs/test/figures/best-so-far"):
        tag = served.ask(path)[0].headers["ETag"]
        answer, data = served.ask(path, If_None_Match=tag)
        assert (answer.status, data) == (304, b""), path


def test_elsewhere_a_token_is_needed_once(folder: Path) -> None:
    with serving(folder, "--host=0.0.0.0") as found:
        token = found.said["token"]
        assert len(token) >= 32
        assert found.said["url"] == f"http://localhost:{found.said['port']}/?token={token}"
        assert found.ask("/healthz")[0].status == 200
        for path in ("/", "/api/runs", "/static/page.js", "/?token=", f"/?token={token[:-1]}", f"/?token={token}x"):
            assert found.ask(path)[0].status == 401, path
        first, _ = found.ask(f"/runs/test?token={token}&x=1")
        assert (first.status, first.headers["Location"]) == (303, "/runs/test?x=1")
        cookie = first.headers["Set-Cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        assert found.ask("/api/runs", Cookie=cookie.split(";")[0])[0].status == 200
        assert found.ask("/api/runs", Authorization=f"Bearer {token}")[0].status == 200
        assert found.ask("/api/runs", Cookie=cookie.split("=")[0] + "=wrong")[0].status == 401
        assert found.ask(f"//evil.example/?token={token}")[0].headers["Location"].startswith("/evil")
        assert found.ask("/healthz", Host="evil.example")[0].status == 421
        assert found.ask("/healthz", Host="10.1.2.3:8080")[0].status == 200, "no site decides where an address leads"


def test_a_token_of_ones_own_and_a_name_behind_which_it_is_reached(folder: Path) -> None:
    own = "a-token-of-my-own-choice"
    with serving(folder, "test", "--answer-to=runs.example", METAQNN_DASHBOARD_TOKEN=own) as found:
        assert found.said["url"].endswith(f"/runs/test?token={own}")
        assert found.ask("/api/runs")[0].status == 401
        assert found.ask("/api/runs", Host="runs.example", Authorization=f"Bearer {own}")[0].status == 200


def test_a_token_of_ones_own_is_not_printed(folder: Path) -> None:
    """In a cluster what is printed is a Pod's log, which more people may read than the token's secret."""
    own = "a-token-of-my-own-choice"
    command = [str(PROGRAM), "dashboard", "--store", str(folder), "--port=0", "--host=0.0.0.0"]
    environment = {**clean_environment(), "METAQNN_DASHBOARD_TOKEN": own}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        said = b""
        while b"Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.kill()
    assert b"/?token=$METAQNN_DASHBOARD_TOKEN" in said
    assert own.encode() not in said


def test_wrong_input_is_refused_at_once(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no run 'none'" in cli("dashboard", "none", "--store", folder).refused()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = cli("dashboard", "--store", folder, "--port", port)
    assert answer.refused() == f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert "--port 0" in answer.err
    assert "cannot listen on 192.0.2.1" in cli("dashboard", "--store", folder, "--host=192.0.2.1").refused()
    monkeypatch.setenv("METAQNN_DASHBOARD_TOKEN", "short")
    assert "16 characters" in cli("dashboard", "--store", folder).refused()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once(folder: Path, number: int, code: int) -> None:
    with serving(folder) as found:
        found.json("/api/runs/test")
        with socket.create_connection(("127.0.0.1", found.said["port"])):  # a browser keeps its connection
            found.process.send_signal(number)
            assert found.process.wait(30) == code


def test_a_store_that_is_not_there_yet_has_no_runs_and_is_not_made(tmp_path: Path) -> None:
    with serving(tmp_path / "store") as found:
        shown = found.json("/api/runs")
    assert (shown["rows"], shown["error"]) == ([], "")
    assert tree(tmp_path) == []


def test_harmful_text_stays_text(tmp_path: Path) -> None:
    write_run(DirectoryStore(tmp_path), 4)
    with serving(tmp_path) as found:
        answer, data = found.ask("/api/runs/test")
        assert answer.headers["Content-Type"] == "application/json"
        assert "poisoned" in json.dumps(json.loads(data))
        assert b"poisoned" not in found.ask("/runs/test")[1]


def until(true: object, seconds: float = 60.0) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
