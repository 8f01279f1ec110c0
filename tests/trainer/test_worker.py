"""The worker as its parent sees it: a process, lines in, lines out."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode_line
from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkerReady, WorkReport
from metaqnn_trainer.store.base import exists
from tests.launchers.harness import PATIENCE
from tests.trainer.conftest import RUN, Bench

ENDLESS = Recipe(epochs=10_000, batch_size=8)
Worker = subprocess.Popen[bytes]


@contextmanager
def worker(trainer: list[str], log: Path) -> Iterator[Worker]:
    command = [*trainer, "worker", "--threads", "1"]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            assert process.stdout is not None
            decode(WorkerReady, process.stdout.readline(), "the first line")
            yield process
        finally:
            process.kill()


def send(process: Worker, line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def receive(process: Worker) -> WorkReport:
    assert process.stdout is not None
    return decode(WorkReport, process.stdout.readline(), "report")


def order(bench: Bench, trial: str) -> bytes:
    return encode_line(bench.order(trial))


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def test_orders_become_reports_and_errors_do_not_end_the_worker(
    bench: Bench, tmp_path: Path, forked_trainer: list[str]
) -> None:
    good, again, gone = bench.ask(), bench.ask("[FC(16), SM(10)]"), "f" * 12
    with worker(forked_trainer, tmp_path / "log") as process:
        send(process, order(bench, good) + order(bench, gone))
        assert receive(process) == WorkReport(trial=good, exit_code=ExitCode.DELIVERED)
        report = receive(process)
        assert (report.trial, report.exit_code) == (gone, ExitCode.BAD_REQUEST)
        assert "no such object" in report.reason
        for line in (b"not JSON\n", b"\n", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n"):
            send(process, line)
            report = receive(process)
            assert (report.trial, report.exit_code) == ("0" * 12, ExitCode.BAD_REQUEST)
        send(process, json.dumps({"trial": good, "run": "Not A Name"}).encode() + b"\n")
        assert receive(process).trial == good
        send(process, order(bench, again))
        assert receive(process) == WorkReport(trial=again, exit_code=ExitCode.DELIVERED)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert bench.result(good).status == "completed"
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_end_of_its_input_ends_it_even_while_training(
    bench: Bench, tmp_path: Path, forked_trainer: list[str]
) -> None:
    trial = bench.ask(recipe=ENDLESS)
    with worker(forked_trainer, tmp_path / "log") as process:
        send(process, order(bench, trial))
        wait_for(tmp_path / "log", "epoch 1/")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == 0
    assert set(bench.files(trial)) == {"request.json"}


def test_ctrl_c_is_the_parents(bench: Bench, tmp_path: Path, forked_trainer: list[str]) -> None:
    endless = bench.ask(recipe=ENDLESS)
    with worker(forked_trainer, tmp_path / "log") as process:
        send(process, order(bench, endless))
        wait_for(tmp_path / "log", "epoch 1/")
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None


def test_killed_while_training_it_leaves_no_result(bench: Bench, tmp_path: Path, forked_trainer: list[str]) -> None:
    trial = bench.ask(recipe=ENDLESS)
    with worker(forked_trainer, tmp_path / "log") as process:
        send(process, order(bench, trial))
        wait_for(tmp_path / "log", "epoch 2/")
        process.kill()
        assert process.wait(5) == -signal.SIGKILL
    assert not exists(bench.store, keys.result(RUN, trial))


def test_asked_to_end_while_training_it_leaves_a_checkpoint_and_says_so(
    bench: Bench, tmp_path: Path, forked_trainer: list[str]
) -> None:
    trial = bench.ask(recipe=ENDLESS)
    with worker(forked_trainer, tmp_path / "log") as process:
        send(process, order(bench, trial) + order(bench, "f" * 12))
        wait_for(tmp_path / "log", "epoch 1/")
        process.terminate()
        report = receive(process)
        assert (report.trial, report.exit_code) == (trial, ExitCode.PREEMPTED)
        assert "stopped at rate 1, epoch" in report.reason
        assert process.wait(10) == ExitCode.PREEMPTED
        assert process.stdout is not None
        assert process.stdout.read() == b""  # the second order is not begun
    assert set(bench.files(trial)) == {"request.json", "checkpoint"}


def test_asked_to_end_while_it_waits(bench: Bench, tmp_path: Path, forked_trainer: list[str]) -> None:
    with worker(forked_trainer, tmp_path / "log") as process:
        send(process, order(bench, "f" * 12))
        receive(process)
        process.terminate()
        assert process.wait(10) == ExitCode.PREEMPTED
