"""Options that are settings."""

from __future__ import annotations

import inspect

from metaqnn_orch.cli.flags import SEARCH, TRACKING
from metaqnn_orch.cli.start import start
from metaqnn_orch.cli.submit import submit
from metaqnn_orch.settings.sources import RENAMED
from metaqnn_orch.settings.values import known_keys


def test_each_sets_something_that_can_be_set() -> None:
    keys = [flag.key for flag in (*SEARCH.values(), *TRACKING.values())]
    assert set(keys) <= {*known_keys(), *RENAMED}
    assert len(set(keys)) == len(keys)


def test_what_is_submitted_is_told_as_what_is_started_here() -> None:
    assert SEARCH.keys() <= inspect.signature(submit).parameters.keys()
    assert SEARCH.keys() | TRACKING.keys() <= inspect.signature(start).parameters.keys()
