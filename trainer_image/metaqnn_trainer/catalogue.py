"""Which datasets are known by name. Free of everything that reading one takes: the orchestrator names them, too."""

from __future__ import annotations

from typing import Final

from metaqnn_trainer.plugins import Group

SOURCES: Final = Group("metaqnn.datasets", "metaqnn_trainer.sources.known")
"""A source is a function of a path, or None where there is none, and of a Report (sources/base.py). It gives a Source,
which is one of images in classes, or Examples, which are anything else."""
