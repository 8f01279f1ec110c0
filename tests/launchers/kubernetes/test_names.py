"""Names and labels: valid, different for different trials, and read back as they were written."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes.errand import search_job_name
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, dataset_manifest
from metaqnn_orch.launchers.kubernetes.names import (
    MAX_ATTEMPT,
    TRIALS,
    Carried,
    Identity,
    RunRef,
    bundle_id,
    bundle_labels,
    bundle_name,
    job_name,
    labels,
    listed,
    read_carried,
    selector,
)
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.keys import NAME_PATTERN

FORM = JobForm("s3://bucket", KubernetesSettings(image="trainer"))
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

IDENTITIES = st.builds(
    Identity,
    st.builds(RunRef, st.from_regex(NAME_PATTERN, fullmatch=True), st.integers(0, 16**32 - 1).map("{:032x}".format)),
    st.integers(0, 16**12 - 1).map("{:012x}".format),
    st.integers(1, MAX_ATTEMPT),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=10,
)


BUNDLES = st.lists(IDENTITIES, min_size=2, max_size=5, unique_by=lambda one: one.trial).map(
    lambda found: tuple(one._replace(run=found[0].run) for one in found)
)


def bundle_job(trials: tuple[Identity, ...]) -> dict[str, Any]:
    run, bundle = trials[0].run, bundle_id(trials)
    names = {"name": bundle_name(run.name, bundle), "labels": bundle_labels(run, bundle)}
    return {"metadata": {**names, "annotations": {TRIALS: listed(trials)}}}


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
        several = bundle_name(name, "f" * 12)
        names = [
            trial,
            several,
            job_name(Identity(RunRef(name, "0" * 32), "f" * 12, 4321)),
            search_job_name(name),
            dataset,
        ]
        assert len({*names}) == len(names)
        assert all(DNS_LABEL.fullmatch(found) for found in names)
    assert (search_job_name(one) == search_job_name(other)) == (one == other)


@given(IDENTITIES)
def test_an_identity_is_read_as_it_was_written(identity: Identity) -> None:
    assert read_carried(job(identity)) == Carried((identity,))


@settings(max_examples=50)
@given(BUNDLES)
def test_a_bundle_is_read_as_it_was_written(trials: tuple[Identity, ...]) -> None:
    written = bundle_job(trials)
    assert read_carried(written) == Carried(trials, bundle_id(trials))
    assert DNS_LABEL.fullmatch(written["metadata"]["name"])
    assert all(LABEL_VALUE.fullmatch(value) for value in written["metadata"]["labels"].values())
    assert len(written["metadata"]["annotations"][TRIALS]) < 2**18, "Kubernetes takes no more"


@settings(max_examples=50)
@given(BUNDLES, st.permutations(range(5)), st.integers(1, MAX_ATTEMPT))
def test_another_order_or_attempt_is_another_bundle(
    trials: tuple[Identity, ...], order: list[int], attempt: int
) -> None:
    others = tuple(trials[number] for number in order if number < len(trials))
    assert (bundle_id(others) == bundle_id(trials)) == (others == trials)
    again = (trials[0]._replace(attempt=attempt), *trials[1:])
    assert (bundle_id(again) == bundle_id(trials)) == (again == trials)


@settings(max_examples=50)
@given(BUNDLES, st.sampled_from(["metaqnn/run", "metaqnn/run-uid", "metaqnn/bundle", TRIALS]), st.text(max_size=70))
def test_an_edited_bundle_is_nobodys(trials: tuple[Identity, ...], key: str, value: str) -> None:
    edited = bundle_job(trials)
    edited["metadata"]["annotations" if key == TRIALS else "labels"][key] = value
    found = read_carried(edited)
    assert not found.trials or (found.bundle == bundle_id(trials) and found.trials[0].trial == trials[0].trial)


@settings(max_examples=50)
@given(BUNDLES, st.integers(0, 400))
def test_a_list_of_trials_that_was_cut_off_is_nobodys(trials: tuple[Identity, ...], length: int) -> None:
    cut = bundle_job(trials)
    cut["metadata"]["annotations"][TRIALS] = listed(trials)[:length]
    assert bool(read_carried(cut).trials) == (length >= len(listed(trials)))


@given(IDENTITIES, st.sampled_from(sorted(labels(Identity(RunRef("x", "0" * 32), "0" * 12, 1)))), st.text(max_size=70))
def test_edited_labels_are_no_identity_of_ours(identity: Identity, key: str, value: str) -> None:
    edited = job(identity)
    edited["metadata"]["labels"][key] = value
    found = read_carried(edited).trials
    assert not found or job_name(found[0]) == job_name(identity)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_the_api_says_is_read(metadata: Any, name: Any, foreign: Any) -> None:
    whole = {"metaqnn/run": "x", "metaqnn/run-uid": "0" * 32, "metaqnn/bundle": "0" * 12}
    for shape in (
        {},
        {"metadata": metadata},
        {"metadata": {"name": name, "labels": foreign}},
        {"metadata": {"name": name, "labels": whole, "annotations": foreign}},
        {"metadata": {"name": name, "labels": whole, "annotations": {TRIALS: foreign}}},
    ):
        assert read_carried(shape) == Carried()
