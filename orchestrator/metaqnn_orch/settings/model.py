"""The settings of a run: frozen shapes, unknown keys refused. Reads no file and no environment.

Everything but `execution`, `budget`, `tracking` and `finals` is the run's identity: it decides what is learned, is
written into run.json once, and may not change when the run goes on. The other sections may change: `execution` says how
the work is done, `budget` how much of it, `tracking` where it is shown, `finals` what comes after the search.
So may `search.confirm`: it decides which of the trained designs is named the best, and nothing that is learned.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from random import Random
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from metaqnn_orch.errors import redacted
from metaqnn_orch.search import schedule
from metaqnn_orch.search.bystander import Bystander
from metaqnn_orch.search.schedule import EpsilonPhase
from metaqnn_orch.search.searcher import NOTHING_CONFIRMED, SEARCHERS, Confirm, Searcher, Setup
from metaqnn_orch.search.searchers.q_learning import QLearningOptions
from metaqnn_orch.settings.blame import blaming, guarded
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_orch.settings.early_end import EarlyEndSettings
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.objective import ObjectiveSettings
from metaqnn_orch.settings.search import ConfirmSettings, ScheduleSettings, SearchSettings
from metaqnn_orch.settings.section import Section
from metaqnn_trainer.contract.checks import check_recipe
from metaqnn_trainer.contract.errors import MessageError, ShapeError
from metaqnn_trainer.contract.keys import DIGEST_PATTERN, check_name
from metaqnn_trainer.contract.messages import CLASSIFICATION, ModelOptions, Recipe, WeightsRef
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.spaces.base import SPACES, Space
from metaqnn_trainer.spaces.cnn.rules import SpaceRules, recorded

KEEP_WEIGHTS: Final = r"^(all|best [1-9][0-9]{0,5})$"


class DatasetSettings(Section):
    """Which dataset object of the store the search uses."""

    name: Annotated[str, AfterValidator(partial(check_name, "dataset"))]
    """Name of the dataset: a built-in one (digits, mnist, fashion-mnist, cifar10, cifar100, svhn), or the name you gave
    it."""
    digest: str | None = Field(None, pattern=DIGEST_PATTERN)
    """Digest of the dataset. Needed only if the store has several datasets of this name."""


class TaskSettings(Section):
    """What is trained, on what, and how well: the task. The options of a plug-in stand beside `name`."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: str = Field(CLASSIFICATION.name, min_length=1, max_length=100)
    """Name of the task: classification, or that of an installed plug-in (`metaqnn-orch config plugins` lists them)."""

    @model_validator(mode="after")
    def _options_are_a_plug_ins(self) -> TaskSettings:
        if self.name == CLASSIFICATION.name and self.model_extra:
            raise ValueError(f"classification has no option {next(iter(self.model_extra))}; see model and recipe")
        return self


class WarmStartSettings(Section):
    """Starting from the results (the replay memory) of another run in the same store."""

    run: Annotated[str, AfterValidator(partial(check_name, "run"))] | None = None
    """Name of the run to start from."""
    weight: float = Field(0.5, gt=0, le=1)
    """How often a result of the other run is drawn from the replay memory, compared with a result of this run."""


class ExecutionSettings(Section):
    """How the work is done. You may change this whenever you go on with a run."""

    parallel: int = Field(2, ge=1, le=10_000)
    """Trials in parallel: how many are in training at the same time. On this machine they share its cores, unless
    OMP_NUM_THREADS says how many threads each one gets.
    """
    max_trials: int | None = Field(None, ge=1, le=1_000_000)
    """Number of different trained nets after which the run is complete. Default: the total of the schedule."""
    retries: int = Field(2, ge=0, le=100)
    """How many further attempts a trial gets after crashes."""
    free_attempts: int = Field(50, ge=0, le=10_000)
    """How many attempts a trial may lose through no fault of its own: preemption, a lost node, a store that nobody can
    reach. They are free except for their time. Further ones count as crashes. From the fourth attempt on, each waits
    twice as long as the one before, at most five minutes."""
    brake_after: int = Field(5, ge=0, le=1000)
    """Number of attempts in a row, of at least two trials, that end in the same way and put the brake on in a run that
    has trained a net: no trial is charged or abandoned, and one attempt at a time finds out when it is over. 0: never.
    """
    time_limit_seconds: float | None = Field(None, ge=1, le=1e8)
    """Time limit in seconds of a trial on this machine, over all its attempts. When it is reached, the best epoch so
    far is the result. For Jobs, use `kubernetes.time_limit_seconds`."""
    checkpoint_seconds: float = Field(10.0, ge=0, le=1e6)
    """Seconds between two checkpoints of a trial, at least."""
    keep_weights: str = Field("all", pattern=KEEP_WEIGHTS)
    """Which weights stay in the store: `all`, or `best N` for those of the N best nets so far. After a run has ended,
    `gc` removes the others."""
    poll_seconds: float = Field(0.2, gt=0, le=3600)
    """Seconds that the control loop pauses when nothing has happened."""
    early_end: EarlyEndSettings = EarlyEndSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    """Used only with `--launcher kubernetes`."""

    @property
    def together(self) -> int:
        """Trials that share a Job, which trains them one after another."""
        return min(self.kubernetes.trials_per_job, self.parallel)


class TrackingSettings(Section):
    """Where else a run is shown. You may change this whenever you go on with a run."""

    mlflow: str | None = Field(None, min_length=1, max_length=1000)
    """URI of an MLflow tracking server."""
    mlflow_experiment: str = Field("metaqnn", min_length=1, max_length=200)
    """Name of the MLflow experiment."""
    tensorboard: str | None = Field(None, min_length=1, max_length=1000)
    """Folder for TensorBoard's event files. Each run gets a folder of its own in it."""


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
    """A list of nets to train, in this order, instead of a search."""
    initial: tuple[WeightsRef | None, ...] = Field((), max_length=10_000)
    """Weights from which the `nets` start: one entry for each net, or none at all."""
    changes: tuple[dict[str, JsonValue], ...] = Field((), max_length=10_000)
    """Settings of the recipe that differ for the `nets`: one mapping for each net, or none at all."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the search. Together with the order in which trials ended, it determines every proposal."""
    finals: Recipe = Recipe()
    """Recipe with which the best nets are trained again after the search (paper, section 5). It is complete in itself:
    nothing is taken from `recipe`."""
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
            raise ValueError("nets: one of them is listed twice")
        if self.initial and len(self.initial) != len(nets):
            raise ValueError(f"initial has {amount(len(self.initial), 'entry', 'entries')}, but nets has {len(nets)}")
        if self.changes and len(self.changes) != len(nets):
            raise ValueError(f"changes has {amount(len(self.changes), 'entry', 'entries')}, but nets has {len(nets)}")
        for changes in self.changes:
            self.recipe.changed(changes)
        for net in nets:
            try:
                space.check(net)
            except ShapeError as error:
                raise ValueError(f"nets: {net} {error}") from None
        object.__setattr__(self, "nets", nets)  # as a frozen dataclass does in __init__
        return self

    @model_validator(mode="after")
    def _images_fit_the_recipes(self) -> Settings:
        channels, classes = getattr(self.space, "channels", None), getattr(self.space, "classes", None)
        if self.task.name == CLASSIFICATION.name and channels and classes:
            recipes = [("recipe", self.recipe), ("finals", self.finals)]
            for name, recipe in [*recipes, *(("changes: recipe", self.recipe.changed(each)) for each in self.changes)]:
                try:
                    check_recipe(recipe, channels, classes)
                except MessageError as error:
                    raise ValueError(f"{name}.{error}") from None
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
        """The space of designs. It never changes, and is shared."""
        return _made(self.space.family, self.space, self.model)

    def searcher(self, *, learning: bool = True) -> Searcher:
        """A searcher that has been told nothing yet; without `learning`, one that takes its place where a run is only
        read.
        """
        kind = SEARCHERS.load(self.search.method) if learning else Bystander
        setup = Setup(self.state_space(), getattr(self, kind.section), self.randomness, self.phases())
        with blaming(SEARCHERS.find(self.search.method), "being made"):
            searcher: Searcher = kind(setup)
        return searcher

    @property
    def confirm(self) -> Confirm:
        """How many of the best designs are confirmed, and how often. A list of nets is not confirmed."""
        if self.nets:
            return NOTHING_CONFIRMED
        own: Confirm = SEARCHERS.load(self.search.method).confirm
        top, repeats = self.search.confirm.top, self.search.confirm.repeats
        return Confirm(own.top if top is None else top, own.repeats if repeats is None else repeats)

    def confirming(self, wanted: ConfirmSettings) -> Settings:
        """These settings with another confirmation."""
        search: Any = self.search
        changes = {"confirm": wanted}
        copied = search.model_copy(update=changes) if isinstance(search, BaseModel) else replace(search, **changes)
        return self.model_copy(update={"search": copied})

    def randomness(self, purpose: str, count: int) -> Random:
        """A generator that depends on seed, purpose and counter alone: a resumed run draws the same numbers as an
        undisturbed one.
        """
        return Random(f"{self.seed}/{purpose}/{count}")

    def phases(self) -> tuple[EpsilonPhase, ...]:
        """The schedule; for a list of nets, one phase with epsilon 0."""
        return (EpsilonPhase(0.0, len(self.nets)),) if self.nets else self.schedule.resolve()

    @property
    def goal(self) -> int:
        """Unique trained nets after which the run is complete."""
        total = schedule.total(self.phases())
        return min(total, self.execution.max_trials or total)

    def on(self, digest: str) -> Settings:
        """These settings with the dataset's digest decided."""
        return self.model_copy(update={"dataset": self.dataset.model_copy(update={"digest": digest})})

    def identity(self) -> dict[str, Any]:
        """The settings that may not change when the run goes on, as JSON."""
        values = self.model_dump(mode="json", exclude={"execution", "budget", "finals", "tracking"})
        del values["search"]["confirm"]
        return {**values, "space": recorded(values["space"])}

    def recorded(self) -> dict[str, Any]:
        """The settings in run.json: the identity, and the settings of confirmation and finals."""
        values = {**self.identity(), "finals": self.finals.model_dump(mode="json", exclude_unset=True)}
        if confirm := self.search.confirm.model_dump(mode="json", exclude_none=True):
            values["search"] = {**values["search"], "confirm": confirm}
        return values

    def of_session(self) -> dict[str, Any]:
        """The settings of how the work is done and where it is shown, as far as they are not the defaults, as JSON.
        Everybody with access to the store can read them, so that addresses with passwords are left out.
        """
        shown = self.tracking.model_dump(mode="json", exclude_defaults=True)
        return {
            "execution": self.execution.model_dump(mode="json", exclude_defaults=True),
            "tracking": {key: value for key, value in shown.items() if redacted(value) == value},
        }


@lru_cache(maxsize=8)
def _made(family: str, options: Any, model: ModelOptions) -> Space:
    return guarded(SPACES.load(family), SPACES.find(family))(options, model)
