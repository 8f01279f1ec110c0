"""What Prometheus reads: served over HTTP, and parsed by its own client."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from metaqnn_orch.control.events import Abandoned, Failed, Proposed, Told
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.launchers.base import NO_OPTIONS, Observation, Phase
from metaqnn_orch.reporting.metrics import Metrics
from metaqnn_orch.reporting.summary import lost_attempts
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import settings
from tests.launchers.harness import make_request

A, B, C = "a" * 12, "b" * 12, "c" * 12


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """A launcher that shows what it is told to."""

    name, parallel, together, outlives_us, devices, options, trouble = "seen", 2, 1, True, 1, NO_OPTIONS, ""

    def __init__(self) -> None:
        self.shown: Mapping[str, Observation] = {}

    def launch(self, request: object, attempt: int) -> None:
        pass

    def observe(self) -> Mapping[str, Observation]:
        return self.shown

    def has_news(self) -> bool:
        return False

    def cancel(self, trial: str) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def state() -> RunState:
    state = RunState(settings())
    for step, trial in enumerate((A, B, C)):
        net = state.agent.propose(1.0, Random(step))
        state.apply(Proposed(step=step, epsilon=1.0, net=net, trial=trial))
    return state


def begun(state: RunState, clock: Callable[[], float] = time.time) -> Metrics:
    metrics = Metrics("first", clock)
    metrics.begin(state, 16)
    return metrics


def told(trial: str, accuracy: float) -> Told:
    return Told(
        at="",
        trial=trial,
        attempt=1,
        status="completed",
        reward=accuracy,
        measures={"accuracy": accuracy},
        params=1,
        macs=1,
        seconds=90,
    )


def read(metrics: Metrics) -> dict[str, float]:
    """Samples as Prometheus gets them, by name and the labels beside the run's."""
    with metrics.served(0) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels.pop("run") == "first"
            assert not {A, B, C} & set(sample.labels.values()), "a trial is no label"
            samples[" ".join([sample.name, *sample.labels.values()])] = sample.value
    return samples


def test_a_session(state: RunState, tmp_path: Path) -> None:
    clock = Clock()
    metrics = begun(state, clock)
    inner = Seen()
    launcher, store = metrics.watched_launcher(inner), metrics.watched_store(DirectoryStore(tmp_path))
    request = make_request("first").model_copy(update={"trial": A})
    launcher.launch(request, 1)
    for phase, later in ((Phase.PENDING, 40), (Phase.RUNNING, 100), (Phase.RUNNING, 0), (Phase.DELIVERED, 2)):
        inner.shown = {A: Observation(1, phase)}
        launcher.observe()
        clock.now += later
    for event in (
        told(A, 0.75),
        Failed(at="", trial=B, attempt=1, kind=Phase.DISRUPTED, detail=""),
        Failed(at="", trial=B, attempt=2, kind=Phase.CRASHED, detail=""),
        Abandoned(at="", trial=B),
    ):
        state.apply(event)
        metrics.happened(event)
    store.put("x", b"")
    found = read(metrics)
    assert found["metaqnn_trials_total completed"] == found["metaqnn_trials_total abandoned"] == 1
    assert found["metaqnn_trials_total untrainable"] == 0
    assert found["metaqnn_attempts_lost_total crashed"] == found["metaqnn_attempts_lost_total disrupted"] == 1
    assert found["metaqnn_trials_in_flight"] == 1
    assert (found["metaqnn_best_accuracy"], found["metaqnn_epsilon"], found["metaqnn_goal_trials"]) == (0.75, 1.0, 16)
    assert (found["metaqnn_queue_seconds_count"], found["metaqnn_queue_seconds_sum"]) == (1, 40)
    assert (found["metaqnn_run_seconds_count"], found["metaqnn_run_seconds_sum"]) == (1, 90)
    assert (found["metaqnn_ingest_seconds_count"], found["metaqnn_ingest_seconds_sum"]) == (1, 2)
    assert found["metaqnn_launcher_last_contact_timestamp_seconds"] == 1140
    assert found["metaqnn_store_last_contact_timestamp_seconds"] == 1142


def test_an_outage_is_no_contact(state: RunState, tmp_path: Path) -> None:
    clock = Clock()
    metrics = begun(state, clock)
    inner = Seen()
    inner.trouble = "the API does not answer"
    metrics.watched_launcher(inner).observe()
    with pytest.raises(StoreError):
        metrics.watched_store(DirectoryStore(tmp_path)).get("missing")
    found = read(metrics)
    assert found["metaqnn_launcher_last_contact_timestamp_seconds"] == 0
    assert found["metaqnn_store_last_contact_timestamp_seconds"] == 0


def test_whatever_is_counted_goes_on_where_the_last_session_stopped(state: RunState) -> None:
    """A second session shows what the first did, but for waiting times: the journal holds none."""
    first = begun(state)
    for event in (
        told(A, 0.5),
        Failed(at="", trial=B, attempt=1, kind=Phase.DISRUPTED, detail=""),
        Failed(at="", trial=B, attempt=2, kind=Phase.CRASHED, detail=""),
        Failed(at="", trial=B, attempt=3, kind=Phase.CRASHED, detail=""),
        Abandoned(at="", trial=B),
    ):
        state.apply(event)
        first.happened(event)
    found, again = read(first), read(begun(state))
    assert found["metaqnn_attempts_lost_total crashed"] == 2 * found["metaqnn_attempts_lost_total disrupted"] == 2
    for name, value in found.items():
        if not name.split()[0].endswith(("_created", "_timestamp_seconds")):
            assert again[name] == value, name


def test_every_kind_of_lost_attempts_that_the_state_knows_is_shown(state: RunState) -> None:
    kinds = lost_attempts(state)
    assert set(get_args(Failed.model_fields["kind"].annotation)) <= set(kinds)
    shown = read(begun(state))
    assert {f"metaqnn_attempts_lost_total {kind}" for kind in kinds} <= set(shown)


def test_a_port_that_is_taken(state: RunState) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with (
            pytest.raises(BadInput, match="metrics cannot be served on port"),
            begun(state).served(taken.getsockname()[1]),
        ):
            pass
