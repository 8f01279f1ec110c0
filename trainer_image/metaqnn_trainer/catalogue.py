"""The datasets that are known by name. This module imports no library that reads one: the orchestrator uses it, too."""

from __future__ import annotations

from typing import Final

from metaqnn_trainer.plugins import FUNCTION, Group

SOURCES: Final = Group("metaqnn.datasets", "metaqnn_trainer.sources.known", FUNCTION)
"""The sources of datasets. A source is a function of a path, or None where there is none, and of a Report
(sources/base.py). It returns a Source of images in classes, or Examples of any other kind.
"""
