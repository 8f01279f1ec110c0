"""The trainers that keep the contract pass, and of those that break it each is caught by the check that is about it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.application.trainer_check.bench import Limits
from metaqnn_orch.application.trainer_check.registry import Checked, CheckMark
from metaqnn_orch.application.trainer_check.suite import CHECKS, check_trainer, chosen
from metaqnn_orch.errors import BadInput
from tests import forked
from tests.application.trainer_check.example import write_example

pytest.importorskip("numpy")

SHORT: Final = Limits(timeout=60, grace=3, training=1)
NEVER: Final = Limits(timeout=3, grace=3)

HANDLER: Final = 'signal.signal(signal.SIGTERM, lambda *_: stopped.append("asked to stop"))'
SIBLING: Final = 'put(f"{kind}-{sha256[:16]}.{ending}", data)'
LINK: Final = 'put("result.json", json.dumps(result).encode(), os.link)'
THERE: Final = ' and not (trial / "result.json").exists():\n        if stopped'
WRITES: Final = '    if records and not (trial / "result.json").exists():'
LOOKS: Final = 'if not (trial / "result.json").exists():\n        train('
BEGIN: Final = "began, stopped = "
GONE: Final = '    (trial / "checkpoint").unlink(missing_ok=True)\n'
LAST: Final = "        pass  # another attempt was first\n"
REWARD: Final = "reward = float("
REPLACES: Final = [("encode(), os.link)", "encode())")]
BLIND: Final = [(THERE, ":\n        if stopped"), (WRITES, "    if records:"), *REPLACES]

GROUPS: Final = {
    group: tuple(check.name for check in CHECKS if check.group == group)
    for group in dict.fromkeys(check.group for check in CHECKS)
}

BROKEN: Final = {
    "result first": (
        "order",
        [
            (SIBLING, 'late.append((f"{kind}-{sha256[:16]}.{ending}", data))'),
            (BEGIN, f"late = []\n{BEGIN}"),
            (LAST, f"{LAST}    for name, data in late:\n        put(name, data)\n"),
        ],
    ),
    "result in pieces": (
        "order",
        [(LINK, '(trial / "result.json").write_bytes(json.dumps(result).encode())')],
    ),
    "wrong digest": ("siblings", [("sha256 = hashlib.sha256(data)", "sha256 = hashlib.sha256(data[1:])")]),
    "sibling is missing": ("accepted", [(SIBLING, "pass")]),
    "NaN": ("delivers", [("status=status, reward=max(rewards)", "status=status, reward=float('nan')")]),
    "no result": ("delivers", [(BEGIN, f"sys.exit(0)\n{BEGIN}")]),
    "crashes": ("delivers", [(BEGIN, f"raise SystemError\n{BEGIN}")]),
    "never ends": ("delivers", [(BEGIN, f"time.sleep(1000)\n{BEGIN}")]),
    "never stops talking": ("delivers", [(BEGIN, f"while True: print('x' * 10_000, file=sys.stderr)\n{BEGIN}")]),
    "result of another trial": (
        "accepted",
        [("json.dumps(result)", "json.dumps(result | {'trial': '0' * 12})")],
    ),
    "attempt is not told": ("accepted", [('int(told["attempt"])', "7")]),
    "another net": ("accepted", [("params=params,", "params=params + 1,")]),
    "learns nothing": ("learns", [("weights -= rate", "weights -= 0 * rate")]),
    "leaves a checkpoint": ("nothing-else", [(GONE, '    (trial / "checkpoint").touch()\n')]),
    "leaves its epochs": ("nothing-else", [(GONE, '    (trial / "epochs.jsonl").touch()\n')]),
    "leaves what is half written": ("nothing-else", [("aside.unlink(missing_ok=True)", "pass")]),
    "changes the request": ("nothing-else", [(LAST, f'{LAST}    (trial / "request.json").write_text("{{}}")\n')]),
    "garbage on standard output": ("streams", [(BEGIN, f"os.write(1, b'\\xff\\x00')\n{BEGIN}")]),
    "garbage on standard error": ("streams", [(BEGIN, f"os.write(2, b'\\xff\\x00')\n{BEGIN}")]),
    "colours": ("streams", [(BEGIN, f"os.write(2, b'\\x1b[31m')\n{BEGIN}")]),
    "another reward each time": ("reproducible", [(REWARD, "reward = np.random.rand() * float(")]),
    "overwrites the result there": ("second-attempt", [(LOOKS, "if True:\n        train("), *BLIND]),
    "overwrites the result of a twin": ("first-wins", BLIND),
    "calls a missing request its own fault": ("no-request", [('12 if "datasets" in str(error) else 11', "13")]),
    "takes any request": ("another-trial", [('request["trial"] != told["trial"]', "False")]),
    "has every plug-in": ("unknown-plugin", [('spec["plugins"]', "{}")]),
    "a traceback": ("damaged-request", [("except ValueError as error", "except ZeroDivisionError as error")]),
    "knows every space": ("unknown-space", [('spec["space"]["name"]', '"cnn"')]),
    "knows every task": ("unknown-task", [('spec["task"]["name"]', '"classification"')]),
    "any classes": ("other-classes", [("(classes, spec[", "(info['classes'], spec[")]),
    "damaged data": ("damaged-dataset", [('.hexdigest()[:16] != spec["dataset"]["digest"]', '.hexdigest() == ""')]),
    "a missing dataset is a bad request": ("no-dataset", [('12 if "datasets" in str(error) else 11', "11")]),
    "no words": ("no-dataset", [("    print(*str(reason).split(), file=sys.stderr)\n", "")]),
    "a store that refuses is a crash": ("store-refuses", [("end(17, error)", "end(1, error)")]),
    "no time limit": ("time-limit", [('options["time_limit_seconds"] or 1e9', "1e9")]),
    "calls what was interrupted complete": ("time-limit", [('status = "timed_out"', "pass")]),
    "ignores SIGTERM": ("sigterm", [(HANDLER, "signal.signal(signal.SIGTERM, signal.SIG_IGN)")]),
    "is ended by SIGTERM": ("sigterm", [(HANDLER, "pass")]),
    "delivers when it is stopped": ("sigterm", [("            end(143, stopped[0])", "            break")]),
    "result before training": (
        "sigkill",
        [("    while len", '    (trial / "result.json").write_text("{}")\n    while len'), *BLIND],
    ),
    "only whole checkpoints": (
        "damaged-checkpoint",
        [("def train(request):\n", "def train(request):\n    (trial / 'checkpoint').exists() and end(1, 'damaged')\n")],
    ),
    "any device": ("no-gpu", [('if options["devices"]', "if False")]),
}

# The built-in trainer, which knows bundles, with a line between its arguments and its exit code.
BUNDLES: Final = """
import sys
from metaqnn_trainer.__main__ import main

arguments = sys.argv[1:]
{before}
code = main(arguments)
{after}
sys.exit(code)
"""
BROKEN_BUNDLES: Final = {
    "forgets an order": ("bundle", "arguments = [one for one in arguments if not one.endswith('/2')]", ""),
    "calls a stop a crash": ("bundle-sigterm", "", "code = 1 if code == 143 else code"),
}


@pytest.fixture(autouse=True, scope="module")
def _begun() -> None:
    """The first trainer that is forked waits for the process that forks them: it is none of those that are checked."""
    subprocess.run([*forked.TRAINER, "--help"], check=True, stdout=subprocess.DEVNULL)


def verdicts(command: list[str], limits: Limits = SHORT, only: tuple[str, ...] = ()) -> dict[str, Checked]:
    return {verdict.check: verdict for verdict in check_trainer(command, chosen(only), limits)}


def shortfalls(made: dict[str, Checked]) -> list[Checked]:
    return [verdict for verdict in made.values() if verdict.mark is not CheckMark.PASSED]


def python_for(group: str) -> str:
    """A stand-in that is killed would leave the trainer a moment to go on."""
    return sys.executable if group == "killed" else forked.PYTHON


@pytest.mark.parametrize("group", GROUPS)
def test_the_pages_trainer_passes(group: str, tmp_path: Path) -> None:
    made = verdicts(write_example(tmp_path, python=python_for(group)), only=GROUPS[group])
    assert [*made] == [*GROUPS[group]]
    if group != "bundle":
        assert shortfalls(made) == []
        return
    for verdict in made.values():
        assert verdict.mark is CheckMark.NOT_TRIED
        assert "trials_per_job must be 1" in verdict.found


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra: metaqnn-orch[train]")
@pytest.mark.parametrize("group", GROUPS)
def test_the_built_in_trainer_passes(group: str) -> None:
    assert shortfalls(verdicts([*forked.TRAINER], Limits(training=1.5), GROUPS[group])) == []


def test_who_starts_slowly_is_disturbed_in_training_too(tmp_path: Path) -> None:
    command = write_example(tmp_path, (HANDLER, f"{HANDLER}\ntime.sleep(1.5)"), python=forked.PYTHON)
    assert shortfalls(verdicts(command, only=("first-wins",))) == []


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_trainer_is_caught_by_the_check_that_is_about_it(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaqnn_orch.application.trainer_check.stops._SLACK", 3.0)
    name, changes = BROKEN[how]
    group = next(check.group for check in CHECKS if check.name == name)
    command = write_example(tmp_path, *changes, python=python_for(group))
    verdict = verdicts(command, NEVER if how.startswith("never") else SHORT, (name,))[name]
    expected = (
        CheckMark.WARNED if name in ("learns", "reproducible") or how.startswith("calls what") else CheckMark.FAILED
    )
    assert verdict.mark is expected, verdict
    assert all((verdict.found, verdict.expected, verdict.fix, verdict.about))


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra: metaqnn-orch[train]")
@pytest.mark.parametrize("how", BROKEN_BUNDLES)
def test_a_trainer_that_breaks_bundles_is_caught(how: str, tmp_path: Path) -> None:
    name, before, after = BROKEN_BUNDLES[how]
    program = tmp_path / "broken.py"
    program.write_text(BUNDLES.format(before=before, after=after))
    verdict = verdicts([forked.PYTHON, str(program)], Limits(), (name,))[name]
    assert verdict.mark is CheckMark.FAILED, verdict


def test_what_needs_a_delivery_is_not_tried_without_one_and_nothing_waits_again_for_what_never_ends(
    tmp_path: Path,
) -> None:
    made = verdicts(write_example(tmp_path, (BEGIN, f"time.sleep(1000)\n{BEGIN}")), NEVER)
    assert made["delivers"].mark is CheckMark.FAILED
    assert "still running after 3 s" in made["delivers"].found
    assert {verdict.mark for name, verdict in made.items() if name != "delivers"} == {CheckMark.NOT_TRIED}
    assert sum(verdict.seconds for verdict in made.values()) < 10
    made = verdicts(write_example(tmp_path, (BEGIN, f"sys.exit(11)\n{BEGIN}")))
    assert made["siblings"].found == "it does not deliver: exit code 11, saying nothing"
    assert made["no-request"].expected == "a line on standard error with the reason"


def test_who_is_done_at_once_cannot_be_interrupted_and_that_is_no_fault(tmp_path: Path) -> None:
    quick = ('while len(records) < recipe["epochs"]', "while len(records) < 2")
    made = verdicts(write_example(tmp_path, quick), only=("first-wins", "sigterm", "sigkill", "time-limit"))
    assert [made[name].mark for name in ("first-wins", "sigterm", "sigkill")] == [CheckMark.NOT_TRIED] * 3
    assert "could not be interrupted" in made["sigterm"].found
    assert made["time-limit"].mark is CheckMark.PASSED


@pytest.mark.parametrize(("command", "says"), [([], "nothing"), (["/no/such/program"], "/no/such/program")])
def test_what_is_no_program_is_bad_input(command: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=f"{says} is no program"):
        verdicts(command)


def test_where_none_is_named_all_are_checked() -> None:
    assert [*chosen(())] == [*CHECKS]


def test_an_unknown_check_is_bad_input() -> None:
    with pytest.raises(BadInput, match="no check 'nonsense'") as refused:
        chosen(["delivers", "nonsense"])
    assert "no-gpu" in refused.value.hint


def test_every_check_says_what_it_checks_and_what_to_do() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.about.endswith(".")
        assert check.fix
        assert not check.fix.endswith(".")
    broken = {name for name, *_ in (*BROKEN.values(), *BROKEN_BUNDLES.values())}
    assert broken | {"unknown-layer", "too-many-pools"} == {check.name for check in CHECKS}
