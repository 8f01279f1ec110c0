"""What is the local launcher's own: its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.local import FALSE_STARTS, KILLED_STARTS, LocalLauncher
from metaqnn_orch.launchers.standard_error import StandardError
from metaqnn_orch.launchers.worker import End, Worker
from metaqnn_trainer.contract.work import WorkOrder
from tests.launchers.harness import ENDED, make_request, until, until_phase

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


def launcher_of(notes: Path, parallel: int) -> LocalLauncher:
    command = (sys.executable, "-SE", str(FAKE_WORKER), str(notes))
    return LocalLauncher("/no/store", parallel, command)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[LocalLauncher]:
    """A launcher with a single place."""
    launcher = launcher_of(tmp_path, 1)
    yield launcher
    launcher.close()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[LocalLauncher]:
    launcher = launcher_of(tmp_path, 3)
    yield launcher
    launcher.close()


def orders(notes: Path) -> list[dict[str, str | int]]:
    with suppress(FileNotFoundError):
        return [json.loads(line) for line in (notes / "orders").read_text().splitlines()]
    return []


def started(notes: Path) -> list[int]:
    """The numbers of all workers ever started."""
    return [int(path.name.removeprefix("start-")) for path in notes.glob("start-*")]


def alive(pid: int) -> bool:
    """Whether the process is there, not even as a zombie."""
    return Path(f"/proc/{pid}").exists()


def until_all_are_gone(notes: Path) -> None:
    until(lambda: not any(alive(pid) for pid in started(notes)))


def end_of(launcher: LocalLauncher, run: str) -> tuple[Phase, str]:
    request = make_request(run)
    launcher.launch(request, 1)
    seen = until_phase(launcher, request, *ENDED)
    return seen.phase, seen.detail


def test_workers_start_when_there_is_work_and_stay(three: LocalLauncher, tmp_path: Path) -> None:
    assert started(tmp_path) == []
    for _ in range(5):
        assert end_of(three, "delivers")[0] is Phase.DELIVERED
    assert len(started(tmp_path)) == 1, "one at a time needs one worker"
    requests = [make_request("works-150") for _ in range(3)]
    for request in requests:
        three.launch(request, 1)
    for request in requests:
        until_phase(three, request, Phase.DELIVERED)
    assert len(started(tmp_path)) == 3
    assert len({order["pid"] for order in orders(tmp_path)[5:]}) == 3, "one trial a worker at a time"


def test_an_order_says_where_the_request_lies(one: LocalLauncher, tmp_path: Path) -> None:
    request = make_request("delivers")
    one.launch(request, 7)
    until_phase(one, request, Phase.DELIVERED)
    order = orders(tmp_path)[0]
    assert order.pop("pid") in started(tmp_path)
    assert order == {"store": "/no/store", "run": "delivers", "trial": request.trial, "attempt": 7}


@pytest.mark.parametrize(
    ("told", "parallel", "threads"),
    [("", 1, "all"), ("", 10_000, "1"), ("7", 10_000, "7"), ("5,2", 1, "5"), ("0", 1, "all"), ("many", 1, "all")],
)
def test_workers_share_the_cores_or_do_as_they_are_told(
    tmp_path: Path, told: str, parallel: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    expected = str(len(os.sched_getaffinity(0))) if threads == "all" else threads
    launcher = launcher_of(tmp_path, parallel)
    assert end_of(launcher, "delivers")[0] is Phase.DELIVERED
    launcher.close()
    [start] = tmp_path.glob("start-*")
    waiting = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    assert json.loads(start.read_text()) == [["--threads", expected], expected, waiting]


def test_a_device_that_failed_is_looked_for_by_another_process(one: LocalLauncher, tmp_path: Path) -> None:
    for number in range(1, 4):
        assert end_of(one, "fails-14") == (
            Phase.NO_DEVICE,
            "the trainer ended with 14 (device): the dataset is missing",
        )
        assert len(started(tmp_path)) == number
    assert end_of(one, "delivers")[0] is Phase.DELIVERED
    assert end_of(one, "delivers")[0] is Phase.DELIVERED
    assert len(started(tmp_path)) == 4
    assert len({order["pid"] for order in orders(tmp_path)}) == 4


def test_what_a_worker_asked_to_stop_had_not_begun_is_free(tmp_path: Path) -> None:
    launcher = launcher_of(tmp_path, 1)
    assert end_of(launcher, "exits-143")[0] is Phase.DISRUPTED
    assert end_of(launcher, "delivers")[0] is Phase.DELIVERED
    launcher.close()


def test_orders_are_taken_in_the_order_given(one: LocalLauncher, tmp_path: Path) -> None:
    requests = [make_request("works-20") for _ in range(5)]
    for request in requests:
        one.launch(request, 1)
    assert [one.observe()[request.trial].phase for request in requests[1:]] == [Phase.PENDING] * 4
    until_phase(one, requests[-1], Phase.DELIVERED)
    assert [order["trial"] for order in orders(tmp_path)] == [request.trial for request in requests]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("fails-13", "the trainer ended with 13 (internal): the dataset is missing"),
        ("fails-77", "the trainer ended with 77 (unknown): the dataset is missing"),
        ("exits-3", "the worker ended with exit code 3: first line | second line | last line"),
        ("exits-0", "the worker ended with exit code 0"),
        ("signals-9", "the worker was killed by SIGKILL (out of memory?)"),
        ("signals-11", "the worker was killed by SIGSEGV"),
        ("half", "the worker was killed by SIGTERM"),
        ("garbage", "the worker sent something else than reports: its report is not valid JSON"),
        ("endless", "the worker sent something else than reports: its report"),
        ("confuses", "the worker reported on trial ffffffffffff, which it was not given"),
    ],
)
def test_every_end_without_a_result_is_a_crash_in_words(one: LocalLauncher, run: str, words: str) -> None:
    assert end_of(one, "delivers")[0] is Phase.DELIVERED
    phase, detail = end_of(one, run)
    assert phase is Phase.CRASHED
    assert words in detail
    assert detail.isprintable()
    assert end_of(one, "delivers")[0] is Phase.DELIVERED, "the worker is replaced"


def test_a_crash_is_told_in_its_own_trials_last_words(one: LocalLauncher) -> None:
    """Whatever the trials before it said, and died of, in the same worker."""
    assert "it failed" in end_of(one, "traces-13")[1]
    assert end_of(one, "signals-11") == (Phase.CRASHED, "the worker was killed by SIGSEGV")
    assert "it failed" in end_of(one, "traces-13")[1]
    words = "the worker was killed by SIGABRT: epoch 3 | terminate called | what(): bad"
    assert end_of(one, "aborts") == (Phase.CRASHED, words)


def test_lines_of_standard_error_are_sorted_by_their_trials() -> None:
    one, other = "0" * 12, "f" * 12
    reader, writer = os.pipe()
    said = StandardError(reader)
    os.write(writer, b"ImportWarning: old\nhalf of a ")
    said.begin(one, first=False)
    assert said.last_words(one) == "", "what was said before is about something else"
    os.write(writer, f"line\ntrial {other}: of another\rand its second half\n\n".encode())
    said.begin(other, first=False)
    assert said.last_words(one) == "", "nor is the end of a line that had begun"
    assert said.last_words(other) == "", "nor what was said of it in an earlier attempt"
    os.write(writer, f"\xff a library\ntrial {one}: 1\ntrial {one}: 2\ntrial {other}: 3".encode("latin-1"))
    os.close(writer)
    said.drain()
    said.begin("a" * 12, first=False)
    os.close(reader)
    assert (said.last_words(one), said.last_words(other)) == ("1 | 2", "3")
    said.end(other)
    assert said.last_words(other) == ""


@pytest.mark.parametrize(
    ("code", "phase"),
    [(11, Phase.HOPELESS), (12, Phase.UNEQUIPPED), (18, Phase.UNEQUIPPED)],
    ids=["net", "dataset", "plug-in"],
)
def test_what_is_not_the_processs_fault_is_told_apart(one: LocalLauncher, code: int, phase: Phase) -> None:
    assert end_of(one, f"fails-{code}")[0] is phase
    assert end_of(one, "delivers")[0] is Phase.DELIVERED


def test_a_talkative_worker_does_not_stand_still(one: LocalLauncher) -> None:
    assert end_of(one, "talks")[0] is Phase.DELIVERED


def test_what_a_dead_worker_started_ends_with_it(one: LocalLauncher) -> None:
    assert end_of(one, "delivers")[0] is Phase.DELIVERED
    phase, detail = end_of(one, "parent")
    assert phase is Phase.CRASHED
    assert "SIGKILL" in detail
    child = int(detail.rsplit("child ", 1)[1])
    until(lambda: not alive(child) or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text())


def test_a_worker_that_departs_after_its_report_has_delivered(one: LocalLauncher, tmp_path: Path) -> None:
    for _ in range(5):
        assert end_of(one, "departs")[0] is Phase.DELIVERED
        until_all_are_gone(tmp_path)
    assert len(started(tmp_path)) == 5


def test_a_free_worker_that_died_costs_no_trial_anything(one: LocalLauncher, tmp_path: Path) -> None:
    for _ in range(5):
        assert end_of(one, "delivers")[0] is Phase.DELIVERED
        for pid in started(tmp_path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until_all_are_gone(tmp_path)
    assert len(started(tmp_path)) == 5


def test_killed_at_any_moment(three: LocalLauncher, tmp_path: Path) -> None:
    """Somebody kills workers all the time: every trial still ends, and every end but the killed ones' is a delivery."""
    assert end_of(three, "delivers")[0] is Phase.DELIVERED
    over = threading.Event()

    def kill_now_and_then() -> None:
        while not over.wait(0.03):
            living = [pid for pid in started(tmp_path) if alive(pid)]
            with suppress(ProcessLookupError):
                os.kill(living[-1], signal.SIGKILL) if living else None

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        requests = [make_request("works-10") for _ in range(40)]
        for request in requests:
            three.launch(request, 1)
        ends = [until_phase(three, request, *ENDED) for request in requests]
    finally:
        over.set()
        killer.join()
    assert {seen.phase for seen in ends} <= {Phase.DELIVERED, Phase.CRASHED}
    assert all("SIGKILL" in seen.detail for seen in ends if seen.phase is Phase.CRASHED)
    assert len([pid for pid in started(tmp_path) if alive(pid)]) <= 3
    assert end_of(three, "delivers")[0] is Phase.DELIVERED


def test_a_trial_launched_again_after_a_cancel_is_not_taken_for_the_old_one(one: LocalLauncher) -> None:
    request = make_request("hangs")
    for _ in range(5):
        one.launch(request, 1)
        until_phase(one, request, Phase.RUNNING)
        one.cancel(request.trial)
        one.launch(request, 1)
        assert one.observe()[request.trial].phase is Phase.PENDING, "the place is still taken by the dying worker"
        until_phase(one, request, Phase.RUNNING)
        one.cancel(request.trial)


def test_a_trainer_that_is_not_installed_stops_everything_and_costs_no_attempt(tmp_path: Path) -> None:
    words = "Traceback (most recent call last):\n  …\nModuleNotFoundError: No module named 'torch'"
    (tmp_path / "cannot-start").write_text(words)
    launcher = launcher_of(tmp_path, 1)
    request = make_request("delivers")
    launcher.launch(request, 1)
    with pytest.raises(LauncherError, match="No module named 'torch'") as caught:
        until_phase(launcher, request, *ENDED)
    assert "metaqnn-orch[train]" in caught.value.hint
    assert len(started(tmp_path)) == FALSE_STARTS
    with pytest.raises(LauncherError, match="workers in a row"):
        launcher.launch(make_request("delivers"), 1)
    launcher.close()


def test_a_false_start_now_and_then_is_forgiven_and_costs_nothing(one: LocalLauncher, tmp_path: Path) -> None:
    for number in range(1, FALSE_STARTS + 2):
        (tmp_path / "bad-moment").touch()
        assert end_of(one, "departs")[0] is Phase.DELIVERED
        until_all_are_gone(tmp_path)
        assert len(started(tmp_path)) == 2 * number


def test_workers_that_are_always_killed_stop_everything_and_cost_no_attempt(tmp_path: Path) -> None:
    (tmp_path / "killed-at-start").touch()
    launcher = launcher_of(tmp_path, 1)
    request = make_request("delivers")
    launcher.launch(request, 1)
    with pytest.raises(LauncherError, match="killed by SIGKILL") as caught:
        until_phase(launcher, request, *ENDED)
    assert "memory" in caught.value.hint
    assert len(started(tmp_path)) == KILLED_STARTS
    launcher.close()


def test_deadly_trials_stop_nothing_but_themselves(one: LocalLauncher) -> None:
    request = make_request("signals-9")
    for attempt in range(1, KILLED_STARTS + 2):
        one.launch(request, attempt)
        assert until_phase(one, request, *ENDED).phase is Phase.CRASHED
    assert end_of(one, "delivers")[0] is Phase.DELIVERED


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    launcher = LocalLauncher("/no/store", 1, command=(str(tmp_path / "nothing-here"),))
    with pytest.raises(LauncherError, match="nothing-here: No such file"):
        launcher.launch(make_request("delivers"), 1)
    launcher.close()


def test_closing_leaves_no_process_and_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    launcher = launcher_of(tmp_path, 3)
    for run in ("hangs", "hangs", "delivers", "delivers"):
        launcher.launch(make_request(run), 1)
    until(lambda: len(started(tmp_path)) == 3)
    launcher.close()
    assert not any(alive(pid) for pid in started(tmp_path))
    assert not {*threading.enumerate()} - before
    with pytest.raises(LauncherError, match="closed"):
        launcher.observe()


def test_descriptors_are_given_back(one: LocalLauncher, tmp_path: Path) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = descriptors()
    for _ in range(10):
        assert end_of(one, "departs")[0] is Phase.DELIVERED
        until_all_are_gone(tmp_path)
    one.close()
    assert descriptors() == before


ORPHANS = """
import sys, time
from pathlib import Path
from metaqnn_orch.launchers.local import LocalLauncher
from tests.launchers.harness import make_request
from tests.launchers.test_local import launcher_of
launcher = launcher_of(Path(sys.argv[1]), 3)
for run in ("hangs", "hangs", "delivers"):
    launcher.launch(make_request(run), 1)
print("launched", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_leave_when_the_orchestrator_dies(tmp_path: Path, end: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", ORPHANS, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"launched\n"
    until(lambda: len(orders(tmp_path)) == 3)
    workers = started(tmp_path)
    assert all(os.getpgid(pid) == pid != os.getpgid(process.pid) for pid in workers), "Ctrl-C does not reach them"
    process.send_signal(end)
    process.communicate()
    until(lambda: not any(alive(pid) and "State:\tZ" not in status(pid) for pid in workers))


def status(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/status").read_text()
    return "State:\tZ"


@pytest.mark.parametrize("moment", ["ready", "report"])
def test_a_worker_whose_reports_cannot_be_taken_ends_and_says_so(tmp_path: Path, moment: str) -> None:
    ends: list[End] = []

    def fail(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    on_ready = fail if moment == "ready" else lambda: None
    command = [sys.executable, "-SE", str(FAKE_WORKER), str(tmp_path)]
    worker = Worker(
        command,
        {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        on_ready,
        fail,
        lambda _, end: ends.append(end),
    )
    worker.give(WorkOrder(store="/no/store", run="delivers", trial="0" * 12, attempt=1))
    worker.join()
    (end,) = ends
    assert "its reports could not be handled: RuntimeError: can't start new thread" in end.cause


@pytest.mark.parametrize(
    ("program", "cause", "hint"),
    [
        ("import nothing_like_torch", "No module named 'nothing_like_torch'", "pip install 'metaqnn-orch[train]'"),
        ("raise OSError('libcudart.so.13: not there')", "OSError: libcudart.so.13: not there", "try it by hand"),
    ],
)
def test_a_trainer_that_cannot_be_started_is_found_before_any_trial(program: str, cause: str, hint: str) -> None:
    launcher = LocalLauncher("/no/store", 1, (sys.executable, "-c", program))
    with pytest.raises(LauncherError, match="the trainer cannot be started: ") as refused:
        launcher.prove()
    assert cause in str(refused.value)
    assert hint in refused.value.hint
    launcher.close()


def test_a_command_that_does_not_exist_is_found_before_any_trial(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="nothing-here: No such file"):
        LocalLauncher("/no/store", 1, (str(tmp_path / "nothing-here"),)).prove()


def test_the_worker_that_was_proven_gets_the_first_trial(one: LocalLauncher, tmp_path: Path) -> None:
    one.prove()
    [worker] = started(tmp_path)
    assert end_of(one, "delivers")[0] is Phase.DELIVERED
    assert started(tmp_path) == [worker]


@pytest.mark.parametrize(("named", "refused"), [("3", True), ("", False), ("-1", False)])
def test_a_gpu_that_is_named_and_not_there_is_said(
    named: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    (tmp_path / "device").write_text("cpu, x86_64, 2 threads")
    launcher = launcher_of(tmp_path, 1)
    if refused:
        with pytest.raises(LauncherError, match="CUDA_VISIBLE_DEVICES is 3, but the trainer finds no GPU"):
            launcher.prove()
    else:
        assert launcher.prove().device == "cpu, x86_64, 2 threads"
    launcher.close()
