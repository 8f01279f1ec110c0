"""Records the examples of json.md: a real answer of each command, shortened. This takes a minute, and `make docs` only
reads them.

python -m docs.record
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Final

from docs.answers import EXAMPLES, stem

_MOST: Final = 2  # elements of a list
_SHOWN: Final = 3  # names of a mapping whose names are no fields
_SMALL: Final = (
    *("--set", "recipe={epochs: 2, max_rates: 1, chance_factor: 1}", "--set", "space.max_layers=3"),
    *(
        "--set",
        "space.max_macs=200000",
        "--set",
        "schedule.phases=[{epsilon: 1, unique: 4}, {epsilon: 0.5, unique: 2}]",
    ),
)
_NET: Final = "[C(16,3,1), GAP(10), SM(10)]"
_RUN: Final = ("first", "--store", "./runs")
_ANOTHER: Final = ("another", "--store", "./runs")
_IMAGE: Final = ("--set", "execution.kubernetes={image: registry.example/trainer:1, store_endpoint: 'http://store:9'}")
_NO_STORE: Final = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
_TRIAL: Final = "{trial}"
"""It stands for the id of the best trial."""
_BEST: Final = "{net}"
"""It stands for the best net."""

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "start --dry-run": ("start", "digits", "--run", *_RUN, *_SMALL, "--trial-seconds", "0.5"),
    "start": ("start", "digits", "--run", *_RUN, *_SMALL),
    "status": ("status", *_RUN),
    "resume": ("resume", *_RUN),
    "trial": ("trial", "first", _TRIAL, "--store", "./runs"),
    "enqueue": ("enqueue", "first", _BEST, "--store", "./runs"),
    "runs list": ("runs", "list", "--store", "./runs"),
    "runs show": ("runs", "show", *_RUN),
    "runs copy": ("runs", "copy", *_RUN, "--name", "second"),
    "runs rename": ("runs", "rename", "second", "third", "--store", "./runs"),
    "runs rm": ("runs", "rm", "third", "--store", "./runs"),
    "init": ("init", "digits", "--store", "./runs", "--to", "mine.yaml"),
    "trials": ("trials", *_RUN),
    "pull": ("pull", *_RUN, "--top", "1", "--to", "./best"),
    "finals": (
        "finals",
        *_RUN,
        "--top",
        "2",
        "--ensemble",
        "2",
        "--set",
        "finals={phases: [{epochs: 2, learning_rate: 0.01}]}",
    ),
    "retrain": ("retrain", "first", _TRIAL, "--store", "./runs"),
    "export": ("export", *_RUN, "--to", "./best.onnx"),
    "explain": ("explain", *_RUN, "--after", "[C(16,3,1)]"),
    "import-replay": (
        "import-replay",
        "replay.csv",
        "--run",
        "imported",
        "--space",
        "digits",
        "--store",
        "./runs",
        *_SMALL,
    ),
    "describe": ("describe", _NET, "--space", "digits"),
    "manifest": ("manifest", _NET, "--space", "digits", "--run", "first", "--store", "s3://bucket/runs", *_IMAGE),
    "gc": ("gc", *_RUN, "--keep-weights", "best 1"),
    "doctor": ("doctor", "digits", "--store", "./runs"),
    "space": ("space", "digits"),
    "space --after": ("space", "digits", "--after", "[C(32,3,1), P(2,2)]"),
    "dataset push": ("dataset", "push", "digits", "--store", "./runs"),
    "dataset list": ("dataset", "list", "--store", "./runs"),
    "config show": ("config", "show", "digits", "--set", "recipe.epochs=3"),
    "config plugins": ("config", "plugins"),
    "trainer check": ("trainer", "check", "--only", "delivers", "-o", "json", sys.executable, "-m", "metaqnn_trainer"),
    "start --detach": ("start", "digits", "--run", *_ANOTHER, *_SMALL, "--detach"),
}
"""The commands in an order in which each has what it needs. The dashboard is not among them, because it does not end:
its example was recorded by hand."""


def main() -> None:
    """Run every command in a folder of its own, and write its answer."""
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        best = net = ""
        for name, arguments in COMMANDS.items():
            said = [word.replace(_TRIAL, best).replace(_BEST, net) for word in arguments]
            said += [] if "-o" in said else ["-o", "json"]
            said += ["--dry-run"] if name.endswith("--dry-run") else []
            if name == "import-replay":
                _run(folder, "export-replay", *_RUN, "--to", "replay.csv")
            answer = json.loads(_run(folder, *said))
            if name == "status":
                best, net = answer["best"]["trial"], answer["best"]["net"]
            text = json.dumps(shortened(answer, name), indent=2).replace(folder, "/home/ada")
            (EXAMPLES / f"{stem(name)}.json").write_text(
                text.replace(sys.prefix, "/home/ada/.venv") + "\n", encoding="utf-8"
            )
        _run(folder, "status", *_ANOTHER, "--watch")  # the search in the background still needs the folder


def shortened(value: Any, name: str = "") -> Any:
    """The answer with the first elements of its lists, and the first names of the settings."""
    if isinstance(value, list):
        return [shortened(item) for item in value[:_MOST]]
    if isinstance(value, dict):
        kept = list(value.items())[:_SHOWN] if name in ("config show", "space", "manifest") else value.items()
        return {key: shortened(item) for key, item in kept}
    return value


def _run(folder: str, *arguments: str) -> str:
    program = [sys.executable, "-m", "metaqnn_orch", *arguments]
    around = {
        **os.environ,
        **_NO_STORE,
        "XDG_STATE_HOME": f"{folder}/state",
    }  # only the manifest names a bucket, which it need not reach
    done = subprocess.run(program, cwd=folder, env=around, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip() and "export-replay" not in arguments:
        raise SystemExit(f"{' '.join(arguments)}: no answer")
    return done.stdout


if __name__ == "__main__":
    main()
