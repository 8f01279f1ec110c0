"""A trainer that ends as a file says that is named after its trial, in the directory that is its first argument.

"answers" has it deliver what lies in the directory `answers` there: files of one's own making for each trial.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path


def main() -> None:
    notes = Path(sys.argv[1])
    options = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[3:])
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    note = notes / options["trial"]
    what, _, argument = (note.read_text() if note.exists() else "answers").partition("-")
    with (notes / "started").open("a") as file:
        file.write(f"{options['trial']} {options['attempt']}\n")
    print(f"trial {options['trial']}: {what}", file=sys.stderr, flush=True)
    if what == "hangs":
        time.sleep(600)
    if what == "works":
        time.sleep(int(argument) / 1000)
    if what == "answers":
        answer(notes / "answers" / options["trial"], Path(options["store"], "runs", options["run"], "trials"))
    sys.exit(int(argument) if what == "exits" else 0)


def answer(files: Path, trials: Path) -> None:
    """Deliver them, the result last and only if there is none."""
    place = trials / files.name
    place.mkdir(parents=True, exist_ok=True)
    for weights in files.glob("weights-*.safetensors"):
        shutil.copyfile(weights, place / weights.name)
    with suppress(FileExistsError):
        os.link(files / "result.json", place / "result.json")


main()
