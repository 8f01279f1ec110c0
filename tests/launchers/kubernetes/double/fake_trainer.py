"""A trainer that ends as a file says that is named after its trial, in the directory that is its first argument.

"answers" has it deliver what lies in the directory `answers` there: files of one's own making for each trial. It knows
bundles, unless there is a file `knows-no-bundles`; if there is a file `lingers`, it does not end after the last one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

GOES_ON = (0, 11, 17)


def main() -> None:
    notes, kind = Path(sys.argv[1]), sys.argv[2]
    arguments = [argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[3:]]
    options = dict(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    place = Path(options["store"], "runs", options["run"], "trials")
    if kind == "train":
        sys.exit(train(notes, place, options["trial"], options["attempt"]))
    if (notes / "knows-no-bundles").exists():
        sys.exit("the following arguments are required: --trial")
    progress = place / f"bundle-{options['bundle']}.json"
    ended = json.loads(progress.read_text())["ended"] if progress.exists() else []
    write(progress, ended)
    for trial, _, attempt in (value.partition("/") for name, value in arguments if name == "order"):
        if any(end["trial"] == trial for end in ended):
            continue
        code = train(notes, place, trial, attempt)
        if code not in GOES_ON:
            sys.exit(code)
        ended.append({"trial": trial, "attempt": int(attempt), "exit_code": code, "reason": "so it says"})
        write(progress, ended)
    time.sleep(600 if (notes / "lingers").exists() else 0)


def train(notes: Path, place: Path, trial: str, attempt: str) -> int:
    note = notes / trial
    what, _, argument = (note.read_text() if note.exists() else "answers").partition("-")
    with (notes / "started").open("a") as file:
        file.write(f"{trial} {attempt}\n")
    print(f"trial {trial}: {what}", file=sys.stderr, flush=True)
    if what == "hangs":
        time.sleep(600)
    if what == "works":
        time.sleep(int(argument) / 1000)
    if what == "answers":
        answer(notes / "answers" / trial, place)
    return int(argument) if what == "exits" else 0


def write(progress: Path, ended: list[dict[str, object]]) -> None:
    progress.parent.mkdir(parents=True, exist_ok=True)
    aside = progress.with_name(f".{os.urandom(8).hex()}.tmp")
    aside.write_text(json.dumps({"schema_version": 1, "ended": ended}))
    aside.replace(progress)


def answer(files: Path, trials: Path) -> None:
    """Deliver them, the result last and only if there is none."""
    place = trials / files.name
    place.mkdir(parents=True, exist_ok=True)
    for weights in files.glob("weights-*.safetensors"):
        shutil.copyfile(weights, place / weights.name)
    with suppress(FileExistsError):
        os.link(files / "result.json", place / "result.json")


main()
