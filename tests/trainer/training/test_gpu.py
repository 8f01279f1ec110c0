"""GPUs that are not there, that do not work, and that fail while a net is trained on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from metaqnn_trainer.contract.messages import Recipe, TrainerOptions
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.errors import DeviceError
from metaqnn_trainer.training.device import choose_device
from metaqnn_trainer.training.gpu import Gpus
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import RUN, Bench
from tests.trainer.test_worker import order, receive, send, worker

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GIVEN = TrainerOptions(devices=1)
ENVIRONMENT = {"NVIDIA_VISIBLE_DEVICES": "void", "CUDA_VISIBLE_DEVICES": "", "HOSTNAME": "the-pod"}


def raising(text: str) -> Callable[[], None]:
    def compute() -> None:
        raise RuntimeError(text)

    return compute


WORKING = Gpus(lambda: True, lambda: 1, lambda: None, lambda: "the driver is 1.2", ENVIRONMENT)
ECC = "CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be asynchronously reported"
BROKEN: dict[str, tuple[Gpus, str]] = {
    "no driver": (WORKING._replace(available=lambda: False), "CUDA is not available"),
    "no device": (WORKING._replace(devices=lambda: 0), "there are no devices"),
    "no work": (
        WORKING._replace(compute=raising(ECC)),
        "the first computation failed: CUDA error: uncorrectable ECC error encountered",
    ),
    "no memory": (
        WORKING._replace(compute=raising("CUDA out of memory. Tried to allocate 2.00 MiB")),
        "the first computation failed: CUDA out of memory. Tried to allocate 2.00 MiB",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_none_that_can_be_used_is_told_with_what_was_found(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    gpus, trouble = BROKEN[case]
    assert choose_device(1, gpus) == CPU
    said = "" if case == "no driver" else f"there is a GPU, but it cannot be used: {trouble}: the driver is 1.2\n"
    assert capsys.readouterr().err == said
    for device in (CPU, CUDA):  # whatever it was when the process began
        with pytest.raises(DeviceError) as caught:
            gpus.check(2, device)
        assert str(caught.value) == (
            f"2 GPUs asked for, but none is usable on the-pod: {trouble}; the driver is 1.2; "
            "CUDA_VISIBLE_DEVICES is empty, NVIDIA_VISIBLE_DEVICES is void"
        )
    gpus.check(0, CPU)
    with pytest.raises(DeviceError, match="the GPU worked before, but is no longer usable on the-pod: "):
        gpus.check(0, CUDA)


def test_one_that_works() -> None:
    assert choose_device(1, WORKING) == CUDA
    for wanted in (0, 1):
        WORKING.check(wanted, CUDA)
    with pytest.raises(
        DeviceError, match=r"1 GPU asked for, but none is usable on a-node: there was none when .* began"
    ):
        WORKING._replace(environment={"NODE_NAME": "a-node", "HOSTNAME": "the-pod"}).check(1, CPU)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (ECC, True),
        ("CUDA error: unknown error", True),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", True),
        ("CUDA driver error: unknown error", True),
        ("CUDA error: no kernel image is available for execution on the device", True),
        ("No CUDA GPUs are available", True),
        ("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU", True),
        ("The NVIDIA driver on your system is too old (found version 9020).", True),
        ("Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before …", True),
        ("CUDA error: an illegal memory access was encountered", False),
        ("CUDA error: device-side assert triggered", False),
        ("CUDA out of memory. Tried to allocate 20.00 GiB", False),
        ("CUDA error: out of memory", False),
        ("mat1 and mat2 shapes cannot be multiplied: unknown error", False),
    ],
)
def test_what_cuda_says_of_a_device_and_what_of_a_program(text: str, lost: bool) -> None:
    error = WORKING.failed(RuntimeError(text))
    assert (error is not None) is lost
    if error is not None:
        assert str(error) == f"the GPU failed on the-pod: {text.splitlines()[0]}"
    assert WORKING.failed(ValueError(text)) is None


def failing_after(steps: int, text: str) -> Callable[[], bool]:
    asked = count(1)

    def stop() -> bool:
        if next(asked) > steps:
            raise RuntimeError(text)
        return False

    return stop


@pytest.mark.parametrize(("text", "code"), [(ECC, ExitCode.DEVICE), ("CUDA error: invalid argument", 13)])
def test_one_that_fails_while_a_net_is_trained(
    text: str, code: int, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = bench.ask(recipe=Recipe(epochs=2, batch_size=256))
    trainer = Trainer(threads=1, stop=failing_after(9, text))
    report = trainer.carry_out(bench.order(trial))
    assert report.exit_code == code
    assert text.splitlines()[0] in report.reason
    assert "\n" not in report.reason
    assert "result.json" not in bench.files(trial)
    printed = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"trial {trial}") for line in printed), "whose it is stands in every line"
    assert any("Traceback" in line for line in printed) is (code == ExitCode.INTERNAL)


def test_asked_for_in_each_request(bench: Bench) -> None:
    gpus, _ = BROKEN["no device"]
    trainer = Trainer(threads=1, gpus=gpus)
    free, given = bench.ask(), bench.ask("[SM(10)]", options=GIVEN)
    orders = [bench.order(trial) for trial in (given, free, given)]
    assert [trainer.carry_out(one).exit_code for one in orders] == [
        ExitCode.DEVICE,
        ExitCode.DELIVERED,
        ExitCode.DEVICE,
    ]
    assert set(bench.files(given)) == {"request.json"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_on_a_machine_without_any_nothing_is_trained(bench: Bench, tmp_path: Path) -> None:
    trial = bench.ask(options=GIVEN)
    arguments = ["train", "--store", str(bench.root), "--run", RUN, "--trial", trial]
    done = subprocess.run(
        [sys.executable, "-m", "metaqnn_trainer", *arguments], capture_output=True, check=False, text=True
    )
    assert done.returncode == ExitCode.DEVICE, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "1 GPU asked for, but none is usable" in last
    assert "CUDA_VISIBLE_DEVICES is " in last
    with worker([sys.executable, "-m", "metaqnn_trainer"], tmp_path / "log") as process:
        send(process, order(bench, trial))
        report = receive(process)
        assert report.exit_code == ExitCode.DEVICE
        assert report.reason in last
        free = bench.ask("[SM(10)]")
        send(process, order(bench, free))
        assert receive(process).exit_code == ExitCode.DELIVERED
    assert set(bench.files(trial)) == {"request.json"}
    assert json.loads(bench.files(trial)["request.json"])["options"]["devices"] == 1


@pytest.mark.parametrize(
    ("shown", "environment", "said"),
    [
        (True, {}, "CUDA is not available: the driver is 1.2"),
        (True, {"CUDA_VISIBLE_DEVICES": "0"}, "CUDA is not available: the driver is 1.2"),
        (True, {"CUDA_VISIBLE_DEVICES": ""}, ""),
        (True, {"CUDA_VISIBLE_DEVICES": "-1"}, ""),
        (False, {}, ""),
    ],
)
def test_one_that_is_there_and_that_cuda_does_not_see_is_told(
    shown: bool, environment: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gpus = WORKING._replace(available=lambda: False, shown=lambda: shown, environment=environment)
    assert gpus.unused() == said
    assert choose_device(1, gpus) == CPU
    assert (said in capsys.readouterr().err) if said else not capsys.readouterr().err
    assert WORKING.unused() == ""
