"""A run whose plug-ins are gone: what its journal says is read, its weights are whole, and the missing is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from metaqnn_orch.application.parts import whole
from metaqnn_orch.application.run_list import list_runs
from metaqnn_orch.control.record import check_plugins, load_record
from metaqnn_orch.control.without_plugins import of_every_trial, other_plugins
from metaqnn_orch.errors import PluginsMissing, RunConflict, SettingsError
from metaqnn_orch.reporting.summary import RunView, needs, read_known, read_only, read_run, status_of
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import needs_trainer
from tests.reporting.finished_run import RUN, copied

pytestmark = needs_trainer

_LAYERS: Final = {"space": {"image_size": 8, "channels": 1, "classes": 10, "gone": {"n": [2]}}}
GONE: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "searchers": ({"search": {"method": "gone", "heat": 0.1}}, "metaqnn-gone 1.0"),
    "spaces": ({"space": {"family": "gone", "depth": 3}}, "metaqnn-gone 1.0"),
    "layers": (_LAYERS, "metaqnn-gone 1.0"),
    "layers of an earlier release": (_LAYERS, ""),
}
"""What run.json says, by the group of the plug-in, and the distribution that it names: earlier releases named none of a
layer.
"""
NEEDS: Final = "needs metaqnn-gone 1.0, which is not installed here"
INSTALL: Final = "pip install metaqnn-gone==1.0"


@pytest.fixture(params=GONE)
def gone(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[DirectoryStore, RunView, str]:
    """A store with a run that lacks a plug-in, the run as it was, and the plug-in's distribution."""
    store, view = copied(tmp_path / "store")
    changes, identity = GONE[request.param]
    record = json.loads(store.get(keys.run_record(RUN)))
    record["settings"] |= changes
    record["plugins"] = {f"metaqnn.{request.param.split()[0]}:gone": identity} if identity else {}
    store.put(keys.run_record(RUN), json.dumps(record).encode())
    return store, view, identity


def test_its_trials_are_read_and_what_it_needs_is_named(gone: tuple[DirectoryStore, RunView, str]) -> None:
    store, before, identity = gone
    with pytest.raises(SettingsError) as caught:
        read_run(store, RUN)
    assert isinstance(caught.value, PluginsMissing) == bool(identity)
    if identity:
        assert (str(caught.value), caught.value.hint) == (f"run {RUN} {NEEDS}", INSTALL)

    for view in (read_only(store, RUN), read_known(store, RUN)):
        assert view.state.trials == before.state.trials
        assert view.state.best == before.state.best
    status = status_of(store, view, None)
    assert status["trouble"] == needs(view) == (f"{NEEDS}: {INSTALL}" if identity else str(caught.value))
    assert status["q_digest"] == ""
    listed = next(row for row in list_runs(store) if row.run == RUN)
    assert (listed.state, listed.trouble) == (status["state"], status["trouble"])


def test_its_weights_are_whole_and_changed_ones_are_refused(gone: tuple[DirectoryStore, RunView, str]) -> None:
    store, before, _ = gone
    view, best = read_only(store, RUN), before.state.best
    assert best is not None
    assert whole(store, view, best) == whole(store, before, best)
    key = keys.result(RUN, best.trial)
    result = json.loads(store.get(key))
    for changed in ({"params": 7}, {"trial": "0" * 12}):
        store.put(key, json.dumps({**result, **changed}).encode())
        with pytest.raises(MessageError):
            whole(store, view, best)


def test_another_version_has_its_command(tmp_path: Path) -> None:
    """A searcher's version is no condition, so that nobody is told to install it."""
    store, view = copied(tmp_path / "store")
    plugins = {"metaqnn.searchers:old": "metaqnn-old 1.0", "metaqnn.tasks:gone": "metaqnn-gone 1.0"}
    record = load_record(store, RUN).model_copy(update={"plugins": plugins})
    with pytest.raises(RunConflict) as caught:
        check_plugins(record, view.state.settings)
    assert caught.value.hint == f"{INSTALL}; metaqnn-orch config plugins lists what there is now"


def test_of_layer_kinds_those_count_that_the_run_named() -> None:
    layer, space = "metaqnn.layers:gone", "metaqnn.spaces:gone"
    plugins = {layer: "metaqnn-gone 1.0", space: "metaqnn-gone 1.0"}
    assert of_every_trial(plugins) == {space: "metaqnn-gone 1.0"}
    assert other_plugins({}, {layer: "metaqnn-gone 2.0"}) == []
    assert other_plugins({layer: "metaqnn-gone 1.0"}, {layer: "metaqnn-gone 2.0"}) == [
        "metaqnn.layers gone: metaqnn-gone 1.0 -> metaqnn-gone 2.0"
    ]


def test_what_a_run_needs_to_go_on_is_named_until_it_has_ended(tmp_path: Path) -> None:
    """It is read without its task."""
    _, view = copied(tmp_path / "store")
    record = view.record.model_copy(update={"plugins": {"metaqnn.tasks:gone": "metaqnn-gone 1.0"}})
    assert needs(view._replace(record=record)) == ""
    view.state.finished = None
    assert needs(view._replace(record=record)) == f"{NEEDS}: {INSTALL}"
    searcher = record.model_copy(update={"plugins": {"metaqnn.searchers:gone": "metaqnn-gone 1.0"}})
    assert needs(view._replace(record=searcher)) == ""
