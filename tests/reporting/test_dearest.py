"""Where the bill goes: before a run, and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.content import content
from metaqnn_orch.reporting.dearest import Foreseen, foresee, spent
from metaqnn_orch.reporting.history import EndedTrial, History, read_history
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost, Part, Space
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import settings
from tests.reporting.runs import write_run
from tests.tasks.widths import WidthOptions, Widths


def test_the_papers_dearest_tenth() -> None:
    chosen = load_settings("svhn", {}, [], {}).settings
    found = foresee(chosen)
    assert found is not None
    assert found.nets > 200
    assert 0.35 < found.share < 0.6
    assert found.max_macs is not None
    assert found.saves is not None
    assert 0.1 < found.saves < found.share, "other dear nets are drawn in their place"
    assert str(found.max_macs).rstrip("0") == str(found.max_macs)[:3].rstrip("0")
    assert foresee(chosen) == found
    limited = load_settings("svhn", {}, [], {"space.max_macs": found.max_macs}).settings
    left = foresee(limited)
    assert left is not None
    assert left.share < found.share


def test_another_seed_draws_other_nets() -> None:
    assert foresee(settings()) != foresee(settings(seed=1))


def test_a_list_of_nets_says_nothing() -> None:
    assert foresee(settings(nets=["[SM(10)]", "[C(16,3,1), SM(10)]"])) is None


class _Settings:
    """As much of the settings as another family needs."""

    nets = ()

    def __init__(self, space: Space) -> None:
        self.space, self._space = space.options, space

    def state_space(self) -> Space:
        return self._space

    randomness = staticmethod(settings().randomness)


class _Free(Widths):
    def describe(self, design: str) -> list[Part]:
        return [part._replace(cost=Cost(0, 0)) for part in super().describe(design)]


@pytest.mark.parametrize("family", [Widths, _Free])
def test_another_family(family: type[Widths]) -> None:
    space = family(WidthOptions(widths=tuple(range(1, 40))), ModelOptions())
    given: Any = _Settings(space)
    found = foresee(given)
    if family is _Free:
        assert found is None
        return
    assert isinstance(found, Foreseen)
    assert 0.1 < found.share < 1
    assert (found.max_macs, found.saves) == (None, None), "its settings have no such limit"
    few: Any = _Settings(family(WidthOptions(widths=(1, 2)), ModelOptions()))
    assert foresee(few) is None, "six nets have no tenth"


def test_what_the_dearest_took_and_achieved() -> None:
    nets = [
        Trial(f"{number:012x}", "[SM(10)]", None, "completed", number / 100, macs=1000 + number, seconds=1.0)
        for number in range(20)
    ]
    nets[18].reward, nets[19].seconds = 0.05, 9.0
    again = Trial("f" * 12, nets[19].net, None, "completed", 0.2, macs=1019, seconds=2.0, confirms=nets[19].trial)
    imported = replace(nets[0], trial="e" * 12, macs=10**9, attempt=0)
    history = History(
        [EndedTrial(trial, trial.reward or 0.0, None, trial.attempt > 0) for trial in (*nets, again, imported)], [], 1
    )
    ranking = sorted(nets, key=lambda trial: -(trial.reward or 0.0))
    found = spent(history, ranking)
    assert found is not None
    assert (found.nets, found.of, found.max_macs, found.seconds) == (2, 20, 1017, 12.0)
    assert found.time_share == pytest.approx(12 / 30)
    assert found.macs_share == pytest.approx((1018 + 2 * 1019) / (sum(range(1000, 1020)) + 1019))
    assert (found.best, found.place, found.lost) == (nets[19], 1, [(1, nets[19])])
    stopped = spent(history, ranking[2:10])
    assert stopped is not None
    assert (stopped.best, stopped.place, stopped.lost) == (None, 0, [])


def test_nothing_is_said_where_nothing_is_known() -> None:
    equal = [Trial(f"{number:012x}", "[SM(10)]", None, "completed", 0.5, macs=7, seconds=1.0) for number in range(20)]
    for trials in (equal, equal[:5], [replace(trial, macs=None) for trial in equal]):
        assert spent(History([EndedTrial(trial, 0.5, None, True) for trial in trials], [], 1), trials) is None


def test_it_is_on_the_page(tmp_path: Any) -> None:
    store = DirectoryStore(tmp_path)
    view = write_run(store)
    history = read_history(store, view)
    cost = dict(content(view, history, None, None).cost)
    assert cost["the dearest tenth of the nets"].startswith(
        "3 of 24, each with more than 5,020 multiply-accumulates: 12% of the time, 13% of the multiply-accumulates"
    )
    assert " of all" in cost["the best of them"]
    assert cost["with space.max_macs=5020"].startswith("30.0 s would have been saved, less the cost of other")
    table = view._replace(record=view.record.model_copy(update={"table": "table.csv"}))
    assert not any("dearest" in name for name, _ in content(table, history, None, None).cost)
