"""Names and labels: valid, different for different trials, and read back as they were written."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes.errand import search_job_name
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, dataset_manifest
from metaqnn_orch.launchers.kubernetes.names import (
    MAX_ATTEMPT,
    Identity,
    RunRef,
    job_name,
    labels,
    read_identity,
    selector,
)
from metaqnn_orch.settings.model import KubernetesSettings
from metaqnn_trainer.contract.keys import NAME_PATTERN, TRIAL_PATTERN

FORM = JobForm("s3://bucket", KubernetesSettings(image="trainer"))
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

IDENTITIES = st.builds(
    Identity,
    st.builds(RunRef, st.from_regex(NAME_PATTERN, fullmatch=True), st.from_regex(r"[0-9a-f]{32}", fullmatch=True)),
    st.from_regex(TRIAL_PATTERN, fullmatch=True),
    st.integers(1, MAX_ATTEMPT),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=10,
)


def job(identity: Identity) -> dict[str, Any]:
    return {"metadata": {"name": job_name(identity), "labels": labels(identity)}}


@given(IDENTITIES)
def test_names_and_labels_are_what_kubernetes_takes(identity: Identity) -> None:
    assert DNS_LABEL.fullmatch(job_name(identity))
    assert all(LABEL_VALUE.fullmatch(value) for value in labels(identity).values())
    assert all(
        labels(identity)[key] == value for key, value in (p.split("=") for p in selector(identity.run).split(","))
    )


@given(IDENTITIES, IDENTITIES)
def test_different_attempts_have_different_names(one: Identity, other: Identity) -> None:
    def named_after(identity: Identity) -> tuple[object, ...]:
        return identity.run.name, identity.trial, identity.attempt

    assert (job_name(one) == job_name(other)) == (named_after(one) == named_after(other))


@pytest.mark.parametrize("attempt", [0, -1, MAX_ATTEMPT + 1])
def test_an_attempt_that_cannot_be_part_of_a_name(attempt: int) -> None:
    with pytest.raises(
        BadInput, match=f"attempt {attempt} of trial 0+ does not fit into a Job's name: attempts from 1 to 999999999"
    ):
        job_name(Identity(RunRef("run", "0" * 32), "0" * 12, attempt))


@given(st.from_regex(NAME_PATTERN, fullmatch=True), st.from_regex(NAME_PATTERN, fullmatch=True))
def test_every_kind_of_job_has_a_name_for_the_longest_run(one: str, other: str) -> None:
    longest = [name.ljust(40, "x") for name in (one, other)]
    for name in (one, other, *longest):
        trial = job_name(Identity(RunRef(name, "0" * 32), "f" * 12, MAX_ATTEMPT))
        dataset = dataset_manifest(name, [], FORM)["metadata"]["name"]
        names = [trial, job_name(Identity(RunRef(name, "0" * 32), "f" * 12, 4321)), search_job_name(name), dataset]
        assert len({*names}) == len(names)
        assert all(DNS_LABEL.fullmatch(found) for found in names)
    assert (search_job_name(one) == search_job_name(other)) == (one == other)


@given(IDENTITIES)
def test_an_identity_is_read_as_it_was_written(identity: Identity) -> None:
    assert read_identity(job(identity)) == identity


@given(IDENTITIES, st.sampled_from(sorted(labels(Identity(RunRef("x", "0" * 32), "0" * 12, 1)))), st.text(max_size=70))
def test_edited_labels_are_no_identity_of_ours(identity: Identity, key: str, value: str) -> None:
    edited = job(identity)
    edited["metadata"]["labels"][key] = value
    found = read_identity(edited)
    assert found is None or job_name(found) == job_name(identity)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_the_api_says_is_read(metadata: Any, name: Any, foreign: Any) -> None:
    for shape in ({}, {"metadata": metadata}, {"metadata": {"name": name, "labels": foreign}}):
        assert read_identity(shape) is None
