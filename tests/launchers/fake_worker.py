"""A worker that speaks the contract and does what the run's name says. A process of its own, without torch: it starts
in twenty milliseconds instead of seconds. Its one argument of its own is a directory, where it notes what it was asked.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue


def main() -> None:
    notes = Path(sys.argv[1])
    libraries = [os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]]
    (notes / f"start-{os.getpid()}").write_text(json.dumps([sys.argv[2:], *libraries]))
    if (notes / "cannot-start").exists():
        sys.exit((notes / "cannot-start").read_text())
    if (notes / "bad-moment").exists():
        (notes / "bad-moment").unlink()
        sys.exit("a bad moment")
    if (notes / "killed-at-start").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    said = {name: (notes / name).read_text() for name in ("device", "unused") if (notes / name).exists()}
    say(json.dumps({"ready": True, "device": "", **said}))
    orders: SimpleQueue[dict[str, str]] = SimpleQueue()
    threading.Thread(target=listen, args=(orders,), daemon=True).start()
    while True:
        order = orders.get()
        with (notes / "orders").open("a") as file:
            file.write(json.dumps({**order, "pid": os.getpid()}) + "\n")
        threading.Thread(target=work, args=(order["run"], order["trial"]), daemon=True).start()


def listen(orders: SimpleQueue[dict[str, str]]) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def work(run: str, trial: str) -> None:
    what, _, argument = run.partition("-")
    match what:
        case "delivers":
            report(trial, 0)
        case "works":  # so many milliseconds
            time.sleep(int(argument) / 1000)
            report(trial, 0)
        case "hangs":
            time.sleep(600)
        case "fails":
            report(trial, int(argument), "the \x1b[31mdataset\x1b[0m\nis missing")
        case "exits":
            print("first line\n\x1b]0;title\x07second\tline\r\x1b[1mlast line\x1b[0m", file=sys.stderr, flush=True)
            os._exit(int(argument))
        case "traces":  # as the trainer does, and is there for the next order
            print(f"trial {trial}, attempt 1: a net\ntrial {trial}: it failed\nTraceback of {trial}", file=sys.stderr)
            report(trial, int(argument), "it failed")
        case "speaks":  # of itself, then of nothing in particular; and goes on
            print(f"trial {trial}: epoch 1\ntrial {trial}: epoch 2", file=sys.stderr, flush=True)
            time.sleep(600)
        case "aborts":  # as C code does, whichever trial it was for
            print(f"trial {trial}: epoch 3\nterminate called\n  what():  bad", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGABRT)
        case "signals":
            os.kill(os.getpid(), int(argument))
        case "garbage":
            say("this is \x1b[31mno report")
            time.sleep(600)
        case "endless":
            sys.stdout.write("x" * (2 << 20))
            sys.stdout.flush()
            time.sleep(600)
        case "half":
            sys.stdout.write('{"trial": "')
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGTERM)
        case "confuses":
            report("f" * 12, 0)
            time.sleep(600)
        case "talks":
            sys.stderr.write("chatter " * 100_000)
            report(trial, 0)
        case "parent":  # of a child that holds the pipes and would outlive it
            if not (child := os.fork()):
                time.sleep(600)
            print(f"child {child}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case "doctor":  # it trains nothing
            report(trial, 12, "the dataset is missing")
        case "departs":  # after its report
            report(trial, 0)
            os._exit(3)


def report(trial: str, code: int, reason: str = "") -> None:
    say(json.dumps({"trial": trial, "exit_code": code, "reason": reason}))


def say(line: str) -> None:
    print(line, flush=True)


main()
