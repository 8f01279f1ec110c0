"""A trainer that ends as a file says that is named after its trial, in the directory that is its first argument.

"answers" has it deliver what lies in the directory `answers` there: files of one's own making for each trial. It knows
bundles, unless there is a file `knows-no-bundles`; if there is a file `lingers`, it does not end after the last one.
"""
# ruff: noqa: PTH103, PTH105, PTH110, PTH123, PTH208, SIM105
# Hundreds of these are started, and to import pathlib, json and the like takes longer than all that one does.

from __future__ import annotations

import os
import sys
import time

GOES_ON = (0, 11, 17)


def main() -> None:
    notes, kind = sys.argv[1:3]
    arguments = [argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[3:]]
    options = dict(arguments)
    place = f"{options['store']}/runs/{options['run']}/trials"
    if kind == "train":
        sys.exit(train(notes, place, options["trial"], options["attempt"]))
    if os.path.exists(f"{notes}/knows-no-bundles"):
        sys.exit("the following arguments are required: --trial")
    import json

    progress = f"{place}/bundle-{options['bundle']}.json"
    ended = json.loads(read(progress))["ended"] if os.path.exists(progress) else []

    def write() -> None:
        os.makedirs(place, exist_ok=True)
        aside = f"{place}/.{os.urandom(8).hex()}.tmp"
        with open(aside, "w") as file:
            json.dump({"schema_version": 1, "ended": ended}, file)
        os.replace(aside, progress)

    write()
    for trial, _, attempt in (value.partition("/") for name, value in arguments if name == "order"):
        if any(end["trial"] == trial for end in ended):
            continue
        code = train(notes, place, trial, attempt)
        if code not in GOES_ON:
            sys.exit(code)
        ended.append({"trial": trial, "attempt": int(attempt), "exit_code": code, "reason": "so it says"})
        write()
    time.sleep(600 if os.path.exists(f"{notes}/lingers") else 0)


def train(notes: str, place: str, trial: str, attempt: str) -> int:
    note = f"{notes}/{trial}"
    what, _, argument = (read(note) if os.path.exists(note) else "answers").partition("-")
    with open(f"{notes}/started", "a") as file:
        file.write(f"{trial} {attempt}\n")
    print(f"trial {trial}: {what}", file=sys.stderr, flush=True)
    if what == "hangs":
        time.sleep(600)
    if what == "works":
        time.sleep(int(argument) / 1000)
    if what == "answers":
        answer(f"{notes}/answers/{trial}", f"{place}/{trial}")
    return int(argument) if what == "exits" else 0


def read(file: str) -> str:
    with open(file) as opened:
        return opened.read()


def answer(files: str, place: str) -> None:
    """Deliver them, the result last, and each only where there is none."""
    os.makedirs(place, exist_ok=True)
    for name in sorted(os.listdir(files), key="result.json".__eq__):
        try:
            os.link(f"{files}/{name}", f"{place}/{name}")
        except FileExistsError:
            pass


main()
