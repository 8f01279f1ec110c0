"""The loop that a user would write: torchvision's dataset and transforms, a DataLoader, torch.optim.Adam, single
precision. The network is the same; nothing of the trainer's is used beside the text that says what it is."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import CIFAR10

from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.spaces.cnn.layer import Net, Shape
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.training.recipe import dropout_probabilities


class MadeCIFAR10(CIFAR10):  # type: ignore[misc]  # torchvision has no types
    """torchvision's own, of files that hold other images and so have other checksums."""

    def _check_integrity(self) -> bool:
        return True

    def _load_meta(self) -> None:
        self.classes = [str(number) for number in range(10)]


def made(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 3, 32, 32) of noise, darker or lighter by class, and their labels."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, count)
    images = generator.integers(0, 128, (count, 3, 32, 32)) + 12 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def write_files(root: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Images (n, 3, 32, 32) uint8 in the five files of CIFAR-10's training set."""
    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    flat = images.reshape(len(images), -1)
    for (name, _), data, answers in zip(
        CIFAR10.train_list, np.array_split(flat, 5), np.array_split(labels, 5), strict=True
    ):
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": answers.tolist()}))


def plain_model(net: Net, recipe: Recipe) -> nn.Module:
    shape = Shape(3, 32)
    dropout = dropout_probabilities(net, recipe)
    layers: list[nn.Module] = []
    flat = False
    for index, layer in enumerate(net):
        match layer:
            case Conv(filters, kernel, 1):
                layers += [nn.Conv2d(shape.channels, filters, kernel, padding="same"), nn.ReLU()]
            case Pool(kernel, stride):
                layers.append(nn.MaxPool2d(kernel, stride))
            case FC(units):
                layers += [*([] if flat else [nn.Flatten()]), nn.Linear(shape.features, units), nn.ReLU()]
                flat = True
            case SM(classes):
                layers += [*([] if flat else [nn.Flatten()]), nn.Linear(shape.features, classes)]
            case _:
                raise ValueError(f"{layer} is not compared")
        if index in dropout:
            layers.append(nn.Dropout(dropout[index]))
        shape = layer.output(shape)
    return nn.Sequential(*layers)


def train_plainly(root: Path, net: Net, recipe: Recipe, validation: int, workers: int, to: Path) -> tuple[float, float]:
    """One epoch and its evaluation; the last `validation` images are held back; weights are saved. Training images a
    second, evaluation not counted, and the accuracy."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    usual = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
    train, held = (
        MadeCIFAR10(str(root), train=True, transform=transforms.Compose(steps))
        for steps in ([transforms.RandomHorizontalFlip(), *usual], usual)
    )
    count = len(train) - validation
    batches = _loader(Subset(train, range(count)), recipe.batch_size, workers, shuffle=True)
    model = plain_model(net, recipe).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    begun = time.perf_counter()
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
    loss.item()
    seconds = time.perf_counter() - begun
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in _loader(Subset(held, range(count, len(held))), recipe.batch_size, workers):
            right += int((model(images.to(device)).argmax(1) == labels.to(device)).sum())
    torch.save(model.state_dict(), to)
    return count / seconds, right / validation


def _loader(dataset: Dataset[Any], batch: int, workers: int, *, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=batch, shuffle=shuffle, num_workers=workers)
