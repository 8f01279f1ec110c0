"""All checks, and the function that makes them one after another."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Sequence
from pathlib import Path
from typing import Final

from metaqnn_orch.application.trainer_check import right, several, stops, wrong
from metaqnn_orch.application.trainer_check.bench import DEFAULTS, Bench, Limits
from metaqnn_orch.application.trainer_check.registry import Check, Checked, CheckMark, NotTried, Shortfall
from metaqnn_orch.errors import BadInput

CHECKS: Final[tuple[Check, ...]] = (
    *right.CHECKS,
    *wrong.CHECKS,
    *stops.SLOW,
    *stops.KILLED,
    *stops.DEVICES,
    *several.CHECKS,
)


def chosen(names: Collection[str]) -> list[Check]:
    """The checks of these names, in order; all checks where no name is given.

    Raises:
        BadInput: there is no such check.
    """
    known = [check.name for check in CHECKS]
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"there is no check {unknown[0]!r}", hint=f"there are {', '.join(known)}")
    return [check for check in CHECKS if not names or check.name in names]


def check_trainer(
    command: Sequence[str],
    checks: Sequence[Check] = CHECKS,
    limits: Limits = DEFAULTS,
    report: Callable[[Check], None] = lambda check: None,
) -> Generator[Checked, None, None]:
    """Make these checks of the program `command`; `report` is called with each check before it is made. No file and no
    process is left, also when the caller stops in between.

    Raises:
        BadInput: there is no such program, or it cannot be started.
    """
    if not command or shutil.which(command[0]) is None:
        raise BadInput(
            f"{command[0] if command else 'nothing'} is no program that can be found",
            hint="name it as a shell would find it, for example: python my_trainer.py",
        )
    with tempfile.TemporaryDirectory(prefix="metaqnn-check-") as folder:
        bench = Bench(command, Path(folder), limits)
        for check in checks:
            report(check)
            yield _made(check, bench)


def _made(check: Check, bench: Bench) -> Checked:
    began = time.monotonic()

    def verdict(mark: CheckMark, found: str, expected: str = "", fix: str = "") -> Checked:
        seconds = round(time.monotonic() - began, 2)
        return Checked(check.group, check.name, mark, check.about, found, expected, fix, seconds)

    if bench.hangs:
        return verdict(CheckMark.NOT_TRIED, "a short training had to be killed: this would take as long again")
    try:
        return verdict(CheckMark.PASSED, check.look(bench))
    except Shortfall as shortfall:
        return verdict(shortfall.mark, shortfall.found, shortfall.expected, shortfall.fix or check.fix)
    except NotTried as reason:
        return verdict(CheckMark.NOT_TRIED, str(reason))
