"""A generator learns from a critic, and is judged by how far its images' features are from those of images unseen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from metaqnn_gan.judge import judge_in
from metaqnn_gan.nets import Generator, critic
from metaqnn_gan.space import GeneratorCells
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.images.dataset import Dataset, labelled, prepare
from metaqnn_trainer.images.sheet import sheet
from metaqnn_trainer.load import Trained
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.tasks.base import Part, Pause, Task

SHEET: Final = 8  # rows and columns of a sheet of samples
AT_ONCE: Final = 500  # images that the judge sees together while data are loaded
FEATURES: Final = 256  # at most; more are averaged, neighbours with each other
SEED: Final = 0  # of what all trials are measured with


class GenerationOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    critic_turns: int = Field(1, ge=1, le=20, description="Updates of the critic for each of the generator's.")
    critic_width: int = Field(16, ge=1, le=1024, description="Maps in the critic's first convolution.")
    samples: int = Field(1000, ge=64, le=100_000, description="Images that are generated to measure the distance.")


class Reference(NamedTuple):
    """The features (n, features) of a part of the dataset, and how far blank and training images are from them."""

    features: Tensor
    blank: float
    real: float


class Judged(NamedTuple):
    """The data of a trial, on its device. From `latent` (samples, latent) images are made that are measured."""

    images: Dataset
    judge: Trained
    references: dict[Part, Reference]
    latent: Tensor


class Generation(Task):
    """The reward is 0 where images are no nearer than blank ones, 1 where they are as near as training images, and
    between them goes by the logarithm of the distance.
    """

    Options = GenerationOptions
    measure, measures, families = "likeness", ("likeness", "frechet", "classes"), ("generator-cells",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def _space(self) -> GeneratorCells:
        assert isinstance(self.space, GeneratorCells)
        return self.space

    def load(self, read: Reader, device: torch.device) -> Judged:
        found = read.dataset(self.spec.dataset)
        judge, images = judge_in(found).to(device), prepare(labelled(found), self.spec.images_of(), device)
        draws, train = torch.Generator().manual_seed(SEED), images.train.images
        some = train[torch.randperm(len(train), generator=draws)[: self.options.samples].to(device)]
        real, blank = (_features(judge, each) for each in (some, torch.zeros_like(some)))
        references, parts = dict[Part, Reference](), list[Part](["validation", "test"])
        for part in [part for part in parts if len(images.part(part)) > 1]:  # of one alone nothing is known
            features = _features(judge, images.part(part).images)
            made = Reference(features, distance(blank, features), distance(real, features))
            references |= {part: made} if 0 < made.real < made.blank else {}
        if "validation" not in references:
            raise DatasetError(f"{found.info.name} needs two images for validation, unlike blank ones to its judge")
        latent = torch.randn(self.options.samples, self._space.options.latent, generator=draws).to(device)
        return Judged(images, judge, references, latent)

    def examples(self, data: Judged, part: Part) -> int:
        return len(data.images.part(part)) if part == "train" or part in data.references else 0

    def batch(self, data: Judged, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Images with values from -1 to 1, and random numbers for each turn (n, turns, latent)."""
        latent = torch.randn(len(indices), len(self.turns()), self._space.options.latent, generator=generator)
        return data.images.train.images[indices].float() / 127.5 - 1, latent.to(indices.device)

    def build(self, data: Judged, generator: torch.Generator) -> nn.Module:
        made, images = Generator(self._space, self.spec.net), self._space.options
        rival = critic(images.channels, images.image_size, self.options.critic_width)
        return nn.ModuleDict({"generator": made, "critic": rival})

    def turns(self) -> Sequence[str]:
        return (*["critic."] * self.options.critic_turns, "generator.")

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        return self.turn_loss(self.options.critic_turns, model, *batch)

    def turn_loss(self, turn: int, model: nn.Module, *batch: Tensor) -> Tensor:
        """The hinge loss (Lim and Ye 2017), of the critic or, in the last turn, of the generator."""
        generator, critic = map(model.get_submodule, ("generator", "critic"))
        images, latent = batch[0], batch[1][:, turn]
        if turn == self.options.critic_turns:
            return -torch.sum(critic(generator(latent).float()))
        with torch.no_grad():
            made = generator(latent)
        of_images, of_made = critic(torch.cat([images, made.to(images.dtype)])).chunk(2)
        return (F.relu(1 - of_images) + F.relu(1 + of_made)).sum()

    def evaluate(self, model: nn.Module, data: Judged, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        """Also the effective number of classes among the images, exp of their entropy: few where all look alike."""
        features, named = list[Tensor](), list[Tensor]()
        for latent in data.latent.split(batch):
            made = model.get_submodule("generator")(latent)
            if not made.isfinite().all():
                return dict.fromkeys(("likeness", "frechet", "classes"), math.nan)
            features.append(_features(data.judge, as_bytes(made)))
            named.append(data.judge.logits(as_bytes(made)).argmax(1))
            pause()
        frechet = distance(torch.cat(features), data.references[part].features)
        shares = torch.bincount(torch.cat(named)).double() / len(data.latent)
        classes = torch.special.entr(shares).sum().exp().item()
        return {"likeness": likeness(frechet, data.references[part]), "frechet": frechet, "classes": classes}

    def learned(self, measures: dict[str, float], data: Judged) -> bool:
        """A generator may take epochs to leave chance: training begins again only where numbers are not finite."""
        return True

    def pictures(self, model: nn.Module, data: Judged) -> dict[str, bytes]:
        made = model.get_submodule("generator")(data.latent[: SHEET**2])
        return {"samples": sheet(as_bytes(made), SHEET)}


def distance(one: Tensor, other: Tensor) -> float:
    """The Fréchet distance of the normal distributions of features (n, d) and (m, d) float64, n and m > 1, squared as
    in Heusel et al. 2017: |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½). The last root has the eigenvalues of the symmetric
    C2^½ C1 C2^½ (Dowson and Landau 1982).
    """
    first, second = (torch.atleast_2d(features.T.cov()) for features in (one, other))
    values, vectors = torch.linalg.eigh(second)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ first @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean(0) - other.mean(0)).square().sum()
    return max(0.0, float(apart + first.trace() + second.trace() - 2 * shared))


def likeness(frechet: float, reference: Reference) -> float:
    """From 0, that of blank images, to 1, that of training images."""
    nearer = math.log(reference.blank / max(frechet, reference.real))
    return max(0.0, nearer / math.log(reference.blank / reference.real))


def as_bytes(images: Tensor) -> Tensor:
    """Images with values from -1 to 1 as uint8."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _features(judge: Trained, images: Tensor) -> Tensor:
    """(n, features), float64"""
    with torch.autocast(images.device.type, enabled=False):
        found = torch.cat([judge.features(some) for some in images.split(AT_ONCE)])
    return (F.adaptive_avg_pool1d(found, FEATURES) if found.shape[1] > FEATURES else found).double()
