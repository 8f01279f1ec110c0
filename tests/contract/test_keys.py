from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import MessageError

NAMES = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")
TRIALS = st.text("0123456789abcdef", min_size=12, max_size=12)


@pytest.mark.parametrize("name", ["a", "7", "kube-system", "a--b", "svhn-2", "0" * 40])
def test_names(name: str) -> None:
    assert keys.check_name("run", name) is name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc/passwd",
        "%2e%2e",
        "a\\b",
        "C:\\x",
        "a\0",
        "a\n",
        "\na",
        "a\nb",
        "a b",
        "a ",
        "A",
        "straße",
        "ａ",
        "٣",
        "😀",
        "-a",
        "a-",
        "-",
        "--help",
        "a_b",
        "a.b",
        "a" * 41,
        "a" * 300,
        "$(id)",
        "{{ x }}",
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(MessageError, match=r"^run .* is not a valid name: use 1 to 40 of a-z, 0-9 and '-'") as caught:
        keys.check_name("run", name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@given(st.text() | st.text("a-0", max_size=45) | NAMES)
def test_a_name_is_what_the_rule_says_and_nothing_else(text: str) -> None:
    legal = (
        1 <= len(text) <= 40
        and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        and not text.startswith("-")
        and not text.endswith("-")
    )
    try:
        assert keys.check_name("run", text) == text
    except MessageError:
        assert not legal
    else:
        assert legal


@given(NAMES)
def test_a_name_is_a_kubernetes_label_value_and_a_dns_label(name: str) -> None:
    assert re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63


def test_the_layout_of_a_store() -> None:
    assert keys.dataset("digits", "0123456789abcdef") == "datasets/digits-0123456789abcdef.safetensors"
    assert keys.datasets() == "datasets/"
    assert keys.datasets("digits") == "datasets/digits"
    assert keys.run("r") == "runs/r/"
    assert keys.run_record("r") == "runs/r/run.json"
    assert keys.holder("r") == "runs/r/holder.json"
    assert keys.journal("r") == "runs/r/journal/"
    assert keys.journal_entry("r", 17) == "runs/r/journal/000000017.jsonl"
    assert keys.trial("r", "t") == "runs/r/trials/t/"
    assert keys.request("r", "t") == "runs/r/trials/t/request.json"
    assert keys.result("r", "t") == "runs/r/trials/t/result.json"
    assert keys.history("r", "t", "0123456789abcdef" * 4) == "runs/r/trials/t/history-0123456789abcdef.jsonl"
    assert keys.weights("r", "t", "0123456789abcdef" * 4) == "runs/r/trials/t/weights-0123456789abcdef.safetensors"
    assert keys.quarantine("r", "t", 2) == "runs/r/quarantine/t-2.json"


@given(NAMES, TRIALS)
def test_everything_of_a_run_lies_under_its_prefix(run: str, trial: str) -> None:
    prefix = keys.run(run)
    for key in (keys.run_record(run), keys.holder(run), keys.journal_entry(run, 1), keys.quarantine(run, trial, 1)):
        assert key.startswith(prefix)
    for key in (
        keys.request(run, trial),
        keys.result(run, trial),
        keys.history(run, trial, "ab" * 32),
        keys.weights(run, trial, "ab" * 32),
    ):
        assert key.startswith(keys.trial(run, trial))
        assert key.startswith(prefix)


@given(NAMES, NAMES)
def test_no_run_lies_under_another(one: str, other: str) -> None:
    assume(one != other)
    assert not keys.run(one).startswith(keys.run(other))


@given(st.integers(1, 999_999_998))
def test_journal_entries_are_listed_in_order(sequence: int) -> None:
    assert keys.journal_entry("r", sequence) < keys.journal_entry("r", sequence + 1)
