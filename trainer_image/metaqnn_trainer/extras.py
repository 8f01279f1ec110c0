"""The extras of the distribution: what each of them gives, and whether it is installed here.

This is the one place that knows which extra has which packages; pyproject.toml has their versions. Both programs ask
here before they begin a piece of work, so that nothing is spent on one that cannot be finished.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, NamedTuple


class Extra(NamedTuple):
    """An extra: what it is for, in words, and its packages with the modules by which they are imported."""

    purpose: str
    modules: dict[str, str]


EXTRAS: Final = {
    "dashboard": Extra(
        "dashboard",
        {"jinja2": "jinja2", "starlette": "starlette", "uvicorn": "uvicorn", "vl-convert-python": "vl_convert"},
    ),
    "export": Extra("export --format onnx", {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"}),
    "mcp": Extra("mcp", {"mcp": "mcp"}),
    "metrics": Extra("start --metrics-port", {"prometheus-client": "prometheus_client"}),
    "mlflow": Extra(
        "start and track with --mlflow",
        {"alembic": "alembic", "mlflow-skinny": "mlflow", "sqlalchemy": "sqlalchemy"},
    ),
    "notebook": Extra("Search.frame() in Python", {"pandas": "pandas"}),
    "report": Extra("report", {"jinja2": "jinja2", "vl-convert-python": "vl_convert"}),
    "table": Extra("start --launcher table, for nets that the table does not have", {"scipy": "scipy"}),
    "tensorboard": Extra("start and track with --tensorboard", {"tensorboardx": "tensorboardX"}),
    "train": Extra(
        "training, export and finals on this machine",
        {
            "pillow": "PIL",
            "safetensors": "safetensors",
            "scikit-learn": "sklearn",
            "scipy": "scipy",
            "torch": "torch",
            "torchvision": "torchvision",
        },
    ),
}

Find = Callable[[str], object]
"""Looks for a top-level module, and returns None where there is none."""


def missing(extra: str, find: Find = find_spec) -> list[str]:
    """The packages of this extra that are not installed."""
    return [package for package, module in EXTRAS[extra].modules.items() if find(module) is None]


def lack(extra: str, find: Find = find_spec) -> str:
    """What is not installed of this extra, as the end of a sentence: "onnx and onnxruntime, which are not installed".
    Empty where nothing is missing.
    """
    names = missing(extra, find)
    if not names:
        return ""
    *first, last = names
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"{listed}, which {'are' if first else 'is'} not installed"


def remedy(extra: str) -> str:
    """The command that installs it."""
    return f"pip install 'metaqnn-orch[{extra}]'"
