"""Whatever fields of a Job a template is made of: it is refused in one line, or makes a Job that servers take, that the
restricted profile takes, and that is still ours."""

from __future__ import annotations

import copy
import re
from random import Random
from typing import Any, Final

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from metaqnn_orch.errors import BadInput
from tests.kubernetes_schemas import validate
from tests.launchers.kubernetes.job_schema import read_models
from tests.launchers.kubernetes.restricted_profile import violations
from tests.launchers.kubernetes.servers import NEWEST
from tests.launchers.kubernetes.test_manifest import job, pod, trainer

TYPES: Final = read_models()
DEPTH: Final = 9
# Fields without which no other of the same mapping is looked at, or that would have each template refused.
SELDOM: Final = ("status", "ephemeralContainers", "hostNetwork", "hostPID", "hostIPC", "resourceClaims")
WORDS: Final = (
    "trainer",
    "tmp",
    "shm",
    "other",
    "HOME",
    "AWS_REGION",
    "Always",
    "Never",
    "/dev/shm",
    "/data",
    "1Gi",
    "a",
)
LABELS: Final = st.dictionaries(
    st.sampled_from(("team", "metaqnn/run", "app.kubernetes.io/name", "job-name", "queue.example/name")),
    st.sampled_from(("a", "1", "", 7, True)),
    max_size=2,
)
AMOUNTS: Final = st.dictionaries(
    st.sampled_from(("cpu", "memory", "nvidia.com/gpu", "rdma/hca", "ephemeral-storage")),
    st.sampled_from(("1", 2, "500m", "4Gi")),
    max_size=2,
)
CONTEXTS: Final = {
    "capabilities": st.fixed_dictionaries({}, optional={"add": st.just(["SYS_PTRACE"]), "drop": st.just(["ALL"])})
}


def values(kind: str, field: str, depth: int) -> st.SearchStrategy[Any]:
    """Values of a type of the table, mostly plausible ones."""
    kind = kind.rstrip("!")
    if field in ("limits", "requests"):
        return AMOUNTS
    if kind == "dict[str, str]":
        return LABELS
    if field in CONTEXTS:
        return CONTEXTS[field]
    if kind.startswith("list["):
        return st.lists(values(kind[5:-1], field, depth), min_size=1, max_size=2)
    match kind:
        case "str":
            return st.sampled_from(WORDS)
        case "int":
            return st.sampled_from((0, 1, 7, 65_532))
        case "bool":
            return st.booleans()
        case "object":
            return st.sampled_from((80, "http"))
        case "datetime":
            return st.just("2026-01-01T00:00:00Z")
    return mappings(kind, depth + 1)


def mappings(kind: str, depth: int) -> st.SearchStrategy[Any]:
    """Mappings of one type: what must be given, and some of the rest."""
    fields = TYPES[kind]
    required = [field for field in fields if fields[field].endswith("!")]
    if kind in ("JobSpec", "PodTemplateSpec", "PodSpec", "Job"):
        required = [field for field in ("spec", "template") if field in fields]
    others = [field for field in fields if field not in required and field not in SELDOM]
    most = 4 if depth < DEPTH else 0
    few = st.lists(st.sampled_from(others), max_size=most, unique=True) if others and most else st.just([])
    if kind == "Volume":  # one source, as people write
        few = st.sampled_from([[name] for name in others] + [["emptyDir"], ["persistentVolumeClaim"]] * 20)
    if kind == "ObjectMeta":
        few = st.sampled_from([["labels"], ["annotations"], ["labels", "annotations"]])

    @st.composite
    def drawn(draw: st.DrawFn) -> dict[str, Any]:
        return {field: draw(values(fields[field], field, depth)) for field in [*required, *draw(few)]}

    return drawn()


def made(template: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The Job, or why there is none."""
    try:
        return job(template), ""
    except BadInput as error:
        return None, str(error)


TEMPLATES: Final = mappings("Job", 0).map(
    lambda found: {k: v for k, v in found.items() if k not in ("apiVersion", "kind")}
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEMPLATES)
def test_any_template(template: dict[str, Any]) -> None:
    wanted, refusal = made(template)
    if wanted is None:
        event("refused")
        assert re.fullmatch(r"the release's Job template: \S+.*", refusal)
        assert refusal.isprintable()
        return
    event("taken")
    validate(wanted, NEWEST)
    assert list(violations(wanted["spec"]["template"])) == []
    plain = job()
    for key in ("backoffLimit", "completions", "parallelism", "podFailurePolicy", "ttlSecondsAfterFinished"):
        assert wanted["spec"][key] == plain["spec"][key]
    for mine, theirs in ((wanted, plain), (wanted["spec"]["template"], plain["spec"]["template"])):
        assert mine["metadata"]["labels"].items() >= theirs["metadata"]["labels"].items()
    for key in (
        "restartPolicy",
        "activeDeadlineSeconds",
        "terminationGracePeriodSeconds",
        "automountServiceAccountToken",
    ):
        assert pod(wanted)[key] == pod(plain)[key]
    for key in ("image", "imagePullPolicy", "args", "terminationMessagePolicy"):
        assert trainer(wanted)[key] == trainer(plain)[key]
    assert "command" not in trainer(wanted)
    assert trainer(wanted)["resources"]["limits"].items() >= trainer(plain)["resources"]["limits"].items()


JUNK: Final = st.sampled_from((None, True, -1, 0.5, 10**40, float("nan"), "", "two\nlines", [1], [None], {"a": 1}, {}))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a template."""
    found = [path] if path else []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += places(value[key], (*path, key))
    return found


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEMPLATES, JUNK, st.randoms(use_true_random=False))
def test_any_template_with_something_wrong_in_it(template: dict[str, Any], junk: Any, random: Random) -> None:
    wrong = copy.deepcopy(template)
    *above, last = random.choice(places(wrong))
    holder: Any = wrong
    for key in above:
        holder = holder[key]
    holder[last] = junk
    wanted, refusal = made(wrong)
    assert refusal.isprintable()
    if wanted is not None:
        validate(wanted, NEWEST)
        assert list(violations(wanted["spec"]["template"])) == []
