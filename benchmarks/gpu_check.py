"""`make gpu-check`: everything that only a GPU can show, on this one: the tests in tests/gpu, training steps against a
loop by hand, and whether lower precision ranks nets alike. It takes less than eight minutes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from benchmarks import gpu_steps, precision
from benchmarks.measure import machine, markdown, save
from metaqnn_trainer.training.device import choose_device, device_name

TESTS: Final = Path(__file__).parent.parent / "tests/gpu"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make gpu-check", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--at-most", type=float, default=150, metavar="S", help="seconds for each comparison of ranks")
    parser.add_argument("--source", type=Path, help="folder of Fashion-MNIST's four IDX files: compared there, too")
    options = parser.parse_args()
    device = choose_device()
    if device.type != "cuda":
        parser.exit(2, f"gpu-check: there is no GPU that works here: {device_name(device)}\nhint: nvidia-smi\n")
    begun = time.monotonic()
    tests = run_tests()
    steps = gpu_steps.compare(device)
    content = {"machine": {**machine("torch"), "device": device_name(device)}, "tests": tests, "steps": steps}
    rows = [[name, str(outcomes.count("passed")), str(len(outcomes))] for name, outcomes in tests.items()]
    text = "## Promises\n\n" + markdown(["tests/gpu", "passed", "of"], rows) + "\n## Speed\n\n" + gpu_steps.table(steps)
    save(options.to, "gpu", "What one GPU shows", text, {**content, "seconds": round(time.monotonic() - begun)})
    ranks = ["--to", str(options.to), "--processes", "4", "--at-most", str(options.at_most)]
    with tempfile.TemporaryDirectory() as kept:
        precision.main([*ranks, "--kept", kept])
        if options.source is not None:
            precision.main([*ranks, "--kept", kept, "--on", "fashion-mnist", "--source", str(options.source)])
    if any(outcome != "passed" for outcomes in tests.values() for outcome in outcomes):
        parser.exit(1, "gpu-check: a promise was broken, see above\n")


def run_tests() -> dict[str, list[str]]:
    """The outcomes of the tests by module."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", str(TESTS), "-q", "-n", "6", f"--junitxml={file}"]
        subprocess.run(command, check=False)
        found: dict[str, list[str]] = {}
        for case in ElementTree.parse(file).iter("testcase"):
            name = case.get("classname", "").rpartition(".")[2]
            kinds: list[Any] = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            found.setdefault(name, []).append(kinds[0] if kinds else "passed")
    return found


if __name__ == "__main__":
    main()
