"""The interface of a task: data in batches, a module for a design, a loss, measures, and which of them is the
reward.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from metaqnn_trainer.contract.codec import canonical_json
from metaqnn_trainer.contract.errors import MessageError, PluginError
from metaqnn_trainer.contract.messages import CNN, TrialSpec
from metaqnn_trainer.contract.options import parse_options
from metaqnn_trainer.errors import KNOWN, RequestError, RunFault
from metaqnn_trainer.faults import cause, named
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.spaces.base import SPACES, Cost, Space, space_of

Part = Literal["train", "validation", "test"]
Pause = Callable[[], None]
Load = Callable[[str], Any]
"""A function that returns a plug-in by its name."""


class NoOptions(BaseModel):
    """The options of a task that has none."""

    model_config = ConfigDict(extra="forbid")


class Task(ABC):
    """What a trial learns. A task holds no randomness and no state: training may ask for any batch at any time, and
    again.

    `data` is the result of `load`. Random numbers come from the generator that a method gets or, within `loss`, from
    torch's own, which is seeded before every step: so an interrupted training gives the same result.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """The model of `task.options` in the settings."""
    measure: ClassVar[str] = ""
    """The measure that is the reward, unless `reward` returns another value. If it is `accuracy`, results also contain
    it as the validation accuracy.
    """
    measures: ClassVar[tuple[str, ...]] = ()
    """Every name that `evaluate` may return, so that an objective is checked before anything is trained. Empty where
    they are not known beforehand; a class whose `evaluate` is its own does not inherit them.
    """
    families: ClassVar[tuple[str, ...]] = ()
    """The families of designs that it trains, as `space.family` names them; empty where `cost` and `build` decide."""
    bounds: ClassVar[tuple[float, float]] = (-1e12, 1e12)
    """The lowest and the highest possible reward."""

    def __init__(self, spec: TrialSpec, options: Any, space: Space | None) -> None:
        """`options` is an instance of Options; `space` is the design's space, None for the cnn family, whose rules are
        no part of a trial.

        Raises:
            RunFault: no design of a run with these settings can be trained.
        """
        self.spec = spec
        self.options = options
        self.space = space

    @property
    def in_words(self) -> str:
        """The task as errors name it: its name, and its distribution where it is an installed one."""
        return named(TASKS, self.spec.task.name)

    def load(self, read: Reader, device: torch.device) -> Any:
        """The data of a trial, on `device`: by default the dataset object. It may depend on everything in the trial's
        specification but the design, the initial weights and the recipe, of which only `normalisation` counts: the
        next trial may be given the data that this one loaded.

        Raises:
            DatasetError: the dataset is not what it should be.
            RunFault, RequestError: the task cannot do what it is asked for; no design plays a part in that.
        """
        return read.dataset(self.spec.dataset).to(device)

    @abstractmethod
    def examples(self, data: Any, part: Part) -> int:
        """Number of examples in a part; 0 for a part for tests on which nothing can be measured: then it is not."""

    @abstractmethod
    def batch(self, data: Any, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Training examples, given by their indices (n), which are on the device: the arguments of `loss`. All tensors
        have n examples along their first dimension: batches, and parts of them, are cut along it, for several batches
        may be asked for at once. `generator` is the CPU's, for augmentation. No gradients are computed here.
        """

    @abstractmethod
    def build(self, data: Any, generator: torch.Generator) -> nn.Module:
        """The design as a module, in main memory, with fresh weights from `generator`, which is the CPU's, or from
        torch's own generator, which has the same seed.

        Raises:
            RequestError, NotationError, ShapeError: the design cannot be built for this data.
        """

    @abstractmethod
    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """The quantity that a step minimises: a sum over the examples, on the device, whose value is not read."""

    def turns(self) -> Sequence[str]:
        """The turns of a training step, in their order. Each is one update of the parameters whose names begin with its
        text, which have an optimiser of their own. By default there is one, of all parameters. Where players have
        losses of their own, as generator and critic do, each has turns.
        """
        return ("",)

    def turn_loss(self, turn: int, model: nn.Module, *batch: Tensor) -> Tensor:
        """The quantity that a turn minimises, as `loss` says; `turn` is its place among the turns. All turns of a step
        see the same batch.
        """
        return self.loss(model, *batch)

    @abstractmethod
    def evaluate(self, model: nn.Module, data: Any, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        """Measures by name: `[a-z][a-z0-9_]*`. The model is in evaluation mode and computes no gradients. At most
        `batch` examples go through it at once; `pause` is called after each such batch, and may raise.
        """

    def reward(self, measures: dict[str, float]) -> float:
        """The reward: the higher the better."""
        return measures[self.measure]

    def chance(self, data: Any) -> float:
        """The reward of a net that has learned nothing."""
        return 0.0

    def learned(self, measures: dict[str, float], data: Any) -> bool:
        """Whether a first epoch with these measures is better than chance: otherwise training begins again at a lower
        learning rate.
        """
        return self.reward(measures) > self.chance(data)

    def pictures(self, model: nn.Module, data: Any) -> dict[str, bytes]:
        """PNG files by name, about the best weights, after training."""
        return {}

    def cost(self, data: Any) -> Cost:
        """The cost of the design, as its space computes it. It is asked for once, before training: the place to refuse
        a design that cannot be built as it says.

        Raises:
            RequestError, NotationError, ShapeError: the design cannot be built for this data.
        """
        assert self.space is not None
        return self.space.cost(self.spec.net)

    def parts(self) -> int:
        """Number of parts of the design: for a net, layers."""
        assert self.space is not None
        return len(self.space.describe(self.spec.net))

    def memory(self, data: Any, batch: int) -> int | None:
        """Bytes of the device's memory that training with `batch` examples at once needs at least, without the data;
        None where it is unknown. Then training is tried.
        """
        return None

    def evaluation_batch(self, data: Any, batch: int, device: torch.device) -> int:
        """Examples at once in evaluation, where `batch` of them fit in training."""
        return batch


def task_of(spec: TrialSpec, tasks: Load = TASKS.load, spaces: Load = SPACES.load) -> Task:
    """The task that `spec` asks for.

    Raises:
        PluginError: there is no such task, or no such space, or it cannot be loaded, or is no task or no space.
        RunFault: an option is wrong, and named, or the task trains no designs of this family.
    """
    kind = tasks(spec.task.name)
    try:
        space = space_of(spec, spaces)
        _check_family(kind, spec)
        task: Task = kind(spec, parse_options(kind.Options, spec.task, "task"), space)
    except (MessageError, RequestError) as error:
        raise RunFault(str(error)) from error
    except KNOWN:
        raise
    except Exception as error:  # a foreign class may raise any exception
        raise PluginError(f"{named(TASKS, spec.task.name)} cannot be used: {cause(error)}") from error
    return task


def measures_of(kind: type[Task]) -> tuple[str, ...]:
    """The measures that a task declares for its own `evaluate`; none where it declares none."""
    owner = next(each for each in kind.__mro__ if "measures" in vars(each) or "evaluate" in vars(each))
    return tuple(map(str, vars(owner).get("measures", ())))


def _check_family(kind: type[Task], spec: TrialSpec) -> None:
    """Check that the task trains designs of the family that it is asked for.

    Raises:
        RunFault: it does not.
    """
    what = f"the task {spec.task.name}"
    if kind.families and spec.space.name not in kind.families:
        trains = ", ".join(kind.families)
        raise RunFault(f"{what} trains designs of the family {trains} alone, and space.family is {spec.space.name}")
    if spec.space == CNN and kind.cost is Task.cost:
        raise RunFault(f"{what} builds no nets of the cnn family")


def data_key(spec: TrialSpec) -> str:
    """A key of the data of a task: trials with equal keys may share the data."""
    content = spec.model_dump(mode="json", exclude={"net", "model", "recipe", "initial"})
    return canonical_json([content, spec.recipe.normalisation]).decode()
