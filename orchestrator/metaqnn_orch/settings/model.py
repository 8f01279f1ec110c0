"""The settings of a run: frozen shapes, unknown keys refused. Reads no file and no environment.

Everything but `execution`, `budget`, `tracking` and `finals` is the run's identity: it decides what is learned, is
written into run.json once, and may not change when the run goes on. `execution` is how the work is done, `budget` how
much of it, `tracking` where it is shown, `finals` what comes after the search: they may.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from metaqnn_orch.search import schedule
from metaqnn_orch.search.schedule import Phase
from metaqnn_orch.search.searcher import DEFAULT_METHOD, SEARCHERS, Searcher, Setup
from metaqnn_orch.search.searchers.q_learning import QLearningOptions
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_orch.settings.objective import ObjectiveSettings
from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.bounds import Probability
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.keys import DIGEST_PATTERN, check_name
from metaqnn_trainer.contract.messages import CLASSIFICATION, ModelOptions, Recipe, WeightsRef
from metaqnn_trainer.spaces.base import SPACES, Space
from metaqnn_trainer.spaces.cnn.rules import SpaceRules, recorded

KEEP_WEIGHTS: Final = r"^(all|best [1-9][0-9]{0,5})$"
DNS_LABEL: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
DNS_NAME: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
RESOURCE_NAME: Final = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
BYTES: Final = r"^[0-9]{1,9}(M|G|T|Mi|Gi|Ti)$"
SECRET_KEY: Final = r"^[-._A-Za-z0-9]{1,253}$"


class DatasetSettings(Section):
    """Which dataset object of the store is searched on."""

    name: str
    digest: str | None = Field(None, pattern=DIGEST_PATTERN)
    """Needed only where the store has several of this name."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        return check_name("dataset", name)


class PhaseSettings(Section):
    """`unique` nets sampled at one `epsilon`."""

    epsilon: Probability
    unique: int = Field(ge=1, le=1_000_000)


class ScheduleSettings(Section):
    """How many designs a search trains. For q-learning also with which epsilon (paper, Table 2)."""

    phases: tuple[PhaseSettings, ...] = Field(
        tuple(PhaseSettings(epsilon=epsilon, unique=unique) for epsilon, unique in schedule.PAPER), min_length=1
    )
    total: int | None = Field(None, ge=1, le=1_000_000)
    """Shrinks or stretches all phases in proportion to this many unique nets."""

    def resolve(self) -> tuple[Phase, ...]:
        phases = tuple(Phase(phase.epsilon, phase.unique) for phase in self.phases)
        return schedule.scaled(phases, self.total) if self.total is not None else phases


class SearchSettings(Section):
    """Which searcher decides what is trained next. Its options stand beside `method`; those of q-learning are `agent`
    and `schedule`."""

    method: str = Field(DEFAULT_METHOD, min_length=1, max_length=100)
    """q-learning (the paper's), random, or that of an installed plug-in: `metaqnn-orch config plugins` lists them."""


class TaskSettings(Section):
    """What is trained, on what, and how well: the task. The options of a plug-in stand beside `name`."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: str = Field(CLASSIFICATION.name, min_length=1, max_length=100)
    """classification, or that of an installed plug-in: `metaqnn-orch config plugins` lists them."""

    @model_validator(mode="after")
    def _options_are_a_plug_ins(self) -> TaskSettings:
        if self.name == CLASSIFICATION.name and self.model_extra:
            raise ValueError(f"classification has no option {next(iter(self.model_extra))}; see model and recipe")
        return self


class SecretKeys(Section):
    """What the store's secret calls what it holds. Each becomes a variable of the trainer's: AWS_ACCESS_KEY_ID, …"""

    access_key_id: str = Field("AWS_ACCESS_KEY_ID", pattern=SECRET_KEY)
    secret_access_key: str = Field("AWS_SECRET_ACCESS_KEY", pattern=SECRET_KEY)
    session_token: str = Field("AWS_SESSION_TOKEN", pattern=SECRET_KEY)
    """Which it need not have."""


class WarmStartSettings(Section):
    """Beginning with what the agent of another run was told (its replay memory), of the same store."""

    run: str | None = None
    weight: float = Field(0.5, gt=0, le=1)
    """How often one of its presentations is drawn from the replay memory, for each time that one of this run's is."""

    @field_validator("run")
    @classmethod
    def _is_a_name(cls, run: str | None) -> str | None:
        return run if run is None else check_name("run", run)


class KubernetesSettings(Section):
    """Trials as Kubernetes Jobs. What is not here, an administrator's Job template may say (k8s/job-template.yaml)."""

    context: str | None = None
    """Of the kubeconfig; by default the current one, or the Pod's own service account inside a cluster."""
    namespace: str | None = Field(None, pattern=DNS_LABEL)
    """By default the context's, or the Pod's own."""
    image: str | None = Field(None, min_length=1, max_length=500, pattern=r"^[^\s]+$")
    """The trainer's, best by digest. Must be given."""
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    service_account: str | None = Field(None, pattern=DNS_NAME)
    """Of the trainers, for a cloud's workload identity. No API token is mounted either way."""
    gpus: int = Field(1, ge=0, le=64)
    """For each trial; 0 trains on processors."""
    gpu_resource: str = Field("nvidia.com/gpu", pattern=RESOURCE_NAME)
    """What the cluster calls a GPU: nvidia.com/mig-1g.10gb, amd.com/gpu, and so on."""
    cpu: float = Field(2.0, ge=0.1, le=1024)
    """Processors: requested, and the limit: the trainer starts as many threads."""
    memory: str = Field("8Gi", pattern=BYTES)
    shared_memory: str = Field("1Gi", pattern=BYTES)
    """Size of /dev/shm. Counts as memory."""
    time_limit_seconds: int = Field(6 * 3600, ge=60)
    """What an attempt may take from when a node takes its Pod, fetching the image included: then the Pod is ended. Its
    trainer ends before, to deliver the best epoch until then: by `grace_seconds` and a tenth of this limit, or ten
    minutes if that is less; but not before half of it."""
    grace_seconds: int = Field(60, ge=1, le=3600)
    """From being asked to stop to being killed."""
    keep_seconds: int = Field(30 * 86_400, ge=3600)
    """After which the cluster removes a finished Job that no orchestrator fetched: longer than any absence of one."""
    store_secret: str | None = Field(None, pattern=DNS_NAME)
    """Secret with the store's credentials."""
    store_secret_keys: SecretKeys = SecretKeys()
    store_endpoint: str | None = Field(None, pattern=r"^https?://[^\s@?#]+$")
    """URL of a store other than AWS, as Pods reach it."""
    store_region: str | None = Field(None, pattern=r"^[a-z0-9-]+$")
    store_addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Where the bucket's name stands in an address: in its path, or in the host's name. auto is what AWS itself wants,
    and path for any other store."""
    store_checksums: Literal["auto", "when_required", "when_supported"] = "auto"
    """Whether checksums travel with every object. auto is when_supported for AWS itself, and when_required for any
    other store: few know them."""
    store_ca: str | None = Field(None, pattern=DNS_NAME)
    """ConfigMap whose `ca.crt` holds the certificates of a store that has an authority of its own."""
    template: str | None = Field(None, min_length=1)
    """File with what else a Job shall have: tolerations, node selector, volumes, queue."""
    creates_per_second: float = Field(10.0, gt=0, le=1000)
    """Jobs. The API server belongs to others too."""


class EarlyEndSettings(Section):
    """Nets that will probably not beat the best one are stopped, and the agent is told what they would probably have
    reached (Baker, Gupta, Raskar, Naik 2017, arXiv 1705.10823). docs/early-end.md says when not to."""

    enabled: bool = False
    """Not in runs of finals, whose accuracies are what is asked for."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """Probability of not beating the best so far at which a net is stopped."""
    examples: int = Field(60, ge=20, le=200)
    """Nets trained to their end, since the rule was enabled, before it stops any."""


class ExecutionSettings(Section):
    """How the work is done. May change whenever the run goes on."""

    parallel: int = Field(2, ge=1, le=10_000)
    """Trials in flight at most."""
    max_trials: int | None = Field(None, ge=1, le=1_000_000)
    """Unique trained nets after which the run is complete; by default the schedule's total."""
    retries: int = Field(2, ge=0, le=100)
    """Further attempts of a trial that crashed."""
    free_attempts: int = Field(50, ge=0, le=10_000)
    """Attempts of a trial that may be lost through no fault of its own, at no cost but their time: preemption, a lost
    node, a store that nobody reaches. Further ones count as crashes. From the fourth attempt on each waits twice as
    long as the one before, at most five minutes."""
    time_limit_seconds: float | None = Field(None, ge=1, le=1e8)
    """What a trial on this machine may take, over all its attempts. Then its best epoch until then is the result. Of
    Jobs `kubernetes.time_limit_seconds` says it."""
    checkpoint_seconds: float = Field(10.0, ge=0, le=1e6)
    """At least so long between two checkpoints of a trial."""
    keep_weights: str = Field("all", pattern=KEEP_WEIGHTS)
    """Whose weights stay in the store: `all`, or `best N`, those of the N best nets so far. Of a run that has ended
    `gc` removes the others."""
    poll_seconds: float = Field(0.2, gt=0, le=3600)
    """How long the loop rests when nothing happened."""
    early_end: EarlyEndSettings = EarlyEndSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    """Used by `--launcher kubernetes` alone."""


class TrackingSettings(Section):
    """Where else a run is shown. May change whenever the run goes on."""

    mlflow: str | None = Field(None, min_length=1, max_length=1000)
    """URI of an MLflow tracking server."""
    mlflow_experiment: str = Field("metaqnn", min_length=1, max_length=200)
    tensorboard: str | None = Field(None, min_length=1, max_length=1000)
    """Folder for TensorBoard's event files; each run has one of its own in it."""


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """
    Raises:
        ValueError: the changes make no recipe.
    """
    values = recipe.model_dump(mode="json", exclude_unset=True)
    return Recipe.model_validate_json(json.dumps({**values, **changes}))


class Settings(Section):
    """All settings of a run."""

    dataset: DatasetSettings
    space: SpaceRules
    model: ModelOptions = ModelOptions()
    recipe: Recipe = Recipe()
    task: TaskSettings = TaskSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    search: SearchSettings = SearchSettings()
    agent: QLearningOptions = QLearningOptions()
    schedule: ScheduleSettings = ScheduleSettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    nets: tuple[str, ...] = Field((), max_length=10_000)
    """Where there are any, exactly these are trained, in this order, and nothing is searched."""
    initial: tuple[WeightsRef | None, ...] = Field((), max_length=10_000)
    """Weights that the `nets` begin with, one for each, or none at all."""
    changes: tuple[dict[str, JsonValue], ...] = Field((), max_length=10_000)
    """Settings of the recipe that differ for the `nets`, a mapping for each, or none at all."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the search. Together with the order in which trials ended it determines every proposal."""
    finals: Recipe = Recipe()
    """With which the best nets are trained again after the search (paper, section 5). Says everything itself: nothing
    is taken over from `recipe`."""
    execution: ExecutionSettings = ExecutionSettings()
    budget: BudgetSettings = BudgetSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _some_net_is_legal(self) -> Settings:
        self.state_space()
        return self

    @model_validator(mode="after")
    def _nets_fit(self) -> Settings:
        space = self.state_space()
        nets = tuple(map(space.canonical, self.nets))
        if len(set(nets)) < len(nets):
            raise ValueError("nets: one of them stands twice")
        if self.initial and len(self.initial) != len(nets):
            raise ValueError(f"initial has {len(self.initial)} weights for {len(nets)} nets")
        if self.changes and len(self.changes) != len(nets):
            raise ValueError(f"changes has {len(self.changes)} mappings for {len(nets)} nets")
        for changes in self.changes:
            changed(self.recipe, changes)
        for net in nets:
            try:
                space.check(net)
            except ShapeError as error:
                raise ValueError(f"nets: {net} {error}") from None
        object.__setattr__(self, "nets", nets)  # as a frozen dataclass does while it is made
        return self

    @model_validator(mode="after")
    def _what_is_foretold_is_told(self) -> Settings:
        if self.execution.early_end.enabled and self.objective.changes_reward:
            raise ValueError(
                "execution.early_end foretells the task's own reward, and objective tells the searcher another: "
                "use one of the two"
            )
        return self

    def state_space(self) -> Space:
        """The designs that there are. It never changes, and is shared."""
        return _made(self.space.family, self.space, self.model)

    def searcher(self) -> Searcher:
        """A searcher that has been told nothing yet."""
        kind = SEARCHERS.load(self.search.method)
        searcher: Searcher = kind(
            Setup(self.state_space(), getattr(self, kind.section), self.randomness, self.phases())
        )
        return searcher

    def randomness(self, purpose: str, count: int) -> Random:
        """Depends on seed, purpose and counter alone: a resumed run draws what an undisturbed one draws."""
        return Random(f"{self.seed}/{purpose}/{count}")

    def phases(self) -> tuple[Phase, ...]:
        """The schedule; of a list of nets one phase, without chance."""
        return (Phase(0.0, len(self.nets)),) if self.nets else self.schedule.resolve()

    @property
    def goal(self) -> int:
        """Unique trained nets after which the run is complete."""
        total = schedule.total(self.phases())
        return min(total, self.execution.max_trials or total)

    def on(self, digest: str) -> Settings:
        """The same with the dataset's digest decided."""
        return self.model_copy(update={"dataset": self.dataset.model_copy(update={"digest": digest})})

    def identity(self) -> dict[str, Any]:
        """What may not change when the run goes on, as JSON."""
        values = self.model_dump(mode="json", exclude={"execution", "budget", "finals", "tracking"})
        return {**values, "space": recorded(values["space"])}

    def recorded(self) -> dict[str, Any]:
        """What run.json keeps: the identity, and what was said of the finals."""
        return {**self.identity(), "finals": self.finals.model_dump(mode="json", exclude_unset=True)}


@lru_cache(maxsize=8)
def _made(family: str, options: Any, model: ModelOptions) -> Space:
    space: Space = SPACES.load(family)(options, model)
    return space
