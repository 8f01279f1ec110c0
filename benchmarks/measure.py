"""Repeats, spread, and the machine that they were taken on."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """Of repeated measurements: the median, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        low, median, high = (
            statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        )
        return cls(median, low, high)

    def text(self, form: str = ".3g") -> str:
        return f"{self.median:{form}} ({self.low:{form}} to {self.high:{form}})"


def times(step: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each of `count` calls."""
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        step()
        found.append((time.perf_counter() - begun) * 1e3)
    return found


def machine(*packages: str, directory: Path = Path()) -> dict[str, str]:
    """What a figure was measured on; `directory` is where it was written."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": str(cores),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "load": f"{os.getloadavg()[0]:.1f}",
        "file system": _file_system(directory.resolve()),
        "system": platform.platform(),
        "python": f"{platform.python_version()}, {_pace():.0f} million additions a second",
        **{name: version(name) for name in ("metaqnn-orch", *packages)},
    }


def _pace() -> float:
    """How fast a loop is here: machines of one name differ by a factor of three, and by who else works on them."""
    begun, total = time.perf_counter(), 0
    for number in range(2_000_000):
        total += number
    return 2 / (time.perf_counter() - begun)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _file_system(directory: Path) -> str:
    """On tmpfs a durable write costs nothing, and is none."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    return max((len(point), kind) for point, kind in mounts if directory.is_relative_to(point))[1]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def save(directory: Path, name: str, title: str, table: str, content: Mapping[str, Any]) -> None:
    """`name`.json for programs and `name`.md for people."""
    directory.mkdir(parents=True, exist_ok=True)
    # A list of numbers stands on one line.
    text = re.sub(
        r"\[\n\s+([-+\d.eE,\s]+?)\n\s+\]",
        lambda found: f"[{' '.join(found[1].split())}]",
        json.dumps(content, indent=1),
    )
    (directory / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    where = ", ".join(f"{key} {value}" for key, value in content["machine"].items())
    (directory / f"{name}.md").write_text(f"# {title}\n\n{table}\n{where}\n", encoding="utf-8")
    print(f"\n{title}\n\n{table}\n{where}\nwritten to {directory}/{name}.json and .md")
