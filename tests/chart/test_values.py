"""Whatever values the schema takes make objects that Kubernetes takes, and settings that the command line takes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any

import pytest
from charts import document
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.chart.conftest import CHART, KITCHEN_SINK, MONITORING, Object, helm, template
from tests.chart.test_render import release, settings_of, trainer_job, with_inner
from tests.kubernetes_schemas import validate

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
TEXTS = st.text("aZ0Äé€𝄞 \"'\\:{}[]#&*!|>%@`,-?~=\t", max_size=20)  # what YAML stumbles over
MAPS = st.dictionaries(NAMES, st.from_regex(r"[A-Za-z0-9]{1,10}", fullmatch=True), max_size=2)
ENV = st.lists(
    st.fixed_dictionaries({"name": NAMES, "value": TEXTS}), max_size=2, unique_by=lambda entry: entry["name"]
)
ANNOTATIONS = st.dictionaries(NAMES, TEXTS, max_size=2)
BYTES = st.from_regex(r"[0-9]{1,9}(M|G|T|Mi|Gi|Ti)", fullmatch=True)

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "commonLabels": MAPS,
        "store": st.fixed_dictionaries(
            {"bucket": st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)},
            optional={"prefix": st.from_regex(r"[a-z]{0,5}(/[a-z]{1,5}){0,2}", fullmatch=True), "region": NAMES},
        ),
        "trainer": st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.floats(0.1, 1024) | st.integers(1, 1024),
                "memory": BYTES,
                "parallel": st.integers(1, 10_000),
                "timeLimitSeconds": st.integers(60, 10**9),
                "keepSeconds": st.integers(3600, 2**31 - 1),
                "gpu": st.fixed_dictionaries({"count": st.integers(0, 64)}),
                "env": ENV,
                "podAnnotations": ANNOTATIONS,
                "nodeSelector": MAPS,
                "labels": MAPS,
            },
        ),
        "orchestrator": st.fixed_dictionaries(
            {"env": ENV, "podAnnotations": st.dictionaries(NAMES, TEXTS, max_size=2)}
        ),
        "resourceQuota": st.dictionaries(st.sampled_from(["pods", "requests.cpu"]), st.integers(0, 10**12) | BYTES),
        "networkPolicy": st.fixed_dictionaries(
            {"store": st.fixed_dictionaries({"ports": st.lists(st.integers(1, 65535))})}
        ),
        "metrics": st.fixed_dictionaries({"enabled": st.booleans(), "port": st.integers(1024, 65535)}),
    },
)


# Each example is a process: few of them, and what fails is not made smaller.
@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(VALUES)
def test_any_values(values: dict[str, Any]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file, ensure_ascii=False)
        file.flush()
        objects: list[Object] = template("--values", file.name)
    trainer, found = values.get("trainer", {}), settings_of(objects)
    job = trainer_job(objects)
    for thing in [*with_inner(objects), job]:
        if thing["kind"] != "PodMonitor":
            validate(thing, "1.37")
    for key, setting in {"memory": "memory", "timeLimitSeconds": "time_limit_seconds", "cpu": "cpu"}.items():
        if key in trainer:
            assert getattr(found, setting) == trainer[key], key
    assert release(objects)["execution.parallel"] == str(trainer.get("parallel", 2))
    own = {entry["name"]: entry.get("value") for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {entry["name"]: entry["value"] for entry in trainer.get("env", [])}.items() <= own.items()
    if bucket := values.get("store", {}).get("bucket"):
        assert release(objects)["store"].startswith(f"s3://{bucket}")


def _places() -> tuple[list[str], list[str]]:
    """The dotted places of all values, and of all mappings that hold them."""
    keys = [value.key for value in document.read_values((CHART / "values.yaml").read_text())]
    above = {key.rsplit(".", depth)[0] for key in keys for depth in range(1, key.count(".") + 1)}
    return sorted({*keys} - above), sorted(above)


PLACES, ABOVE = _places()


def nulled(*places: str, values: tuple[object, ...] = ()) -> subprocess.CompletedProcess[str]:
    null = [f"--set-json={place}=null" for place in places]
    return helm("template", "first", CHART, "--namespace=trials", MONITORING, *values, *null)


def assert_complete(rendered: str) -> None:
    assert "%!" not in rendered
    assert "<no value>" not in rendered
    assert rendered.count("\nkind: ") > 5


# One run of helm shows of several whether all of them may be null.
TOGETHER = [[place] for place in ABOVE] + [PLACES[first::16] for first in range(16)]


@pytest.mark.parametrize("places", TOGETHER, ids=lambda places: places[0])
def test_null_is_the_default_or_refused_in_a_sentence(places: list[str]) -> None:
    done = nulled(*places, values=("--values", KITCHEN_SINK))
    if not done.returncode:
        assert_complete(done.stdout)
    elif len(places) > 1:
        for place in places:
            test_null_is_the_default_or_refused_in_a_sentence([place])
    else:
        assert "Error: execution error at" in done.stderr, done.stderr
        assert "nil pointer" not in done.stderr
        assert places[0].split(".")[0] in done.stderr, "the sentence names what contradicts it"


@pytest.mark.parametrize("places", TOGETHER, ids=lambda places: places[0])
def test_null_beside_nothing_else_is_the_default(places: list[str]) -> None:
    done = nulled(*places)
    assert done.returncode == 0, done.stderr
    assert_complete(done.stdout)
