"""What the dashboard answers about a run, as values for JSON. All numbers are those of the commands and the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from metaqnn_orch.control.without_plugins import Readable
from metaqnn_orch.dashboard.reader import RunReader, Seen
from metaqnn_orch.errors import BadInput, NotFound, PluginsMissing
from metaqnn_orch.reporting.content import content
from metaqnn_orch.reporting.curves import why_no_curve
from metaqnn_orch.reporting.explain import explain
from metaqnn_orch.reporting.front import COLUMNS, Axes
from metaqnn_orch.reporting.palette import ON_PAGE
from metaqnn_orch.reporting.run_figures import net_drawing
from metaqnn_orch.reporting.standing import standing
from metaqnn_orch.reporting.summary import leaderboard, reward_name, summary, trial_rows
from metaqnn_orch.reporting.vega import Figure, Spec
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.contract.text import one_line

Answer = dict[str, Any]

LEADERS: Final = 10
_ATTEMPTS: Final = 200  # of one trial, the newest
_MEMBERS: Final = 50
FRONT: Final = "front:"  # prefix of the name of a figure of two measures
CURVES: Final = "curves:"  # prefix of the name of a figure of some trials' learning curves
_MOST_CURVES: Final = 30


def overview(reader: RunReader, now: str) -> Answer:
    """The run at `now`: the fields of status, where it stands, and what the report says in words.

    Raises:
        Unreadable: nothing is known of the run.
    """
    found = dict(reader.made("overview", _overview))
    found["epochs"] = reader.make(lambda seen: seen.epochs)
    found["standing"] = reader.make(lambda seen: _standing(seen, now))
    fault = reader.fault
    found["fault"] = None if fault is None else fault._asdict()
    return found


def _overview(seen: Seen) -> Answer:
    view, state = seen.view, seen.view.state
    found: Answer = {
        "status": summary(view, seen.holder),
        "reward": reward_name(state.settings),
        "heard": state.heard or view.record.created_at,
        "noun": state.space.noun,
        "table": view.record.table,
        "in_flight": [
            {
                "trial": trial.trial,
                "net": trial.net,
                "attempt": trial.attempt,
                "trouble": one_line(trial.trouble, 300),
                "epochs": trial.recipe.get("epochs", state.settings.recipe.epochs),
            }
            for trial in state.in_flight.values()
        ],
    }
    if state.best is not None and seen.history.trained:
        price = state.opened.budget.price_per_gpu_hour if state.opened is not None else None
        words = content(view, seen.history, None, price, works=seen.works)
        found["words"] = {
            "lead": words.lead,
            "notes": words.notes,
            "numbers": words.numbers,
            "outcomes": [outcome._asdict() for outcome in words.outcomes],
            "reasons": words.reasons,
            "losses": [{"kind": kind, **asdict(spell)} for kind, spell in words.losses],
            "cost": words.cost,
            "settings": words.settings,
            "versions": words.versions,
            "start": words.start,
        }
    return found


def _standing(seen: Seen, now: str) -> Answer:
    """Where the run stands: at `now`, where an orchestrator works on it, else at the moment when it was last heard."""
    found = standing(seen.view.state, now if seen.works else seen.view.state.heard, works=seen.works)
    return {
        "whole": found.whole._asdict(),
        "phase": found.phase._asdict(),
        "confirming": found.confirming and found.confirming._asdict(),
        "epsilon": found.epsilon,
        "used": found.used._asdict(),
        "forecast": found.forecast and found.forecast._asdict(),
        "budget": found.budget.model_dump(),
        "limit": found.limit,
        "images_per_second": found.images_per_second,
        "endings": found.endings,
        "lost": found.lost,
    }


def figure_list(reader: RunReader) -> Answer:
    """The figures of a run by their names, the measures that a front may have, and the front that was searched."""
    groups = reader.made("figure list", lambda seen: _groups(reader, seen))
    members = reader.figures.members[:_MEMBERS] if groups else []
    return {
        "figures": [
            {"name": figure.name, "title": figure.title, "caption": figure.caption, "group": group}
            for group, figures in groups.items()
            for figure in figures
        ],
        "measures": reader.made("measures", _measures),
        "curves": reader.made("curves", _best_curves),
        "axes": [axes._asdict() for axes in reader.figures.axes] if groups else [],
        "members": [{"trial": member.trial.trial, "net": member.trial.net, **member.values} for member in members],
    }


def _groups(reader: RunReader, seen: Seen) -> dict[str, list[Figure]]:
    if not seen.history.ended:
        return {}
    made = reader.figures
    return {"course": made.course(ON_PAGE), "beliefs": made.beliefs(ON_PAGE), "fronts": made.fronts(ON_PAGE)}


def _measures(seen: Seen) -> list[str]:
    trained = [trial for trial in seen.view.state.trials.values() if trial.was_trained]
    return sorted({*COLUMNS, *(name for trial in trained for name in trial.measures)}) if trained else []


def _best_curves(seen: Seen) -> list[str]:
    """The best trials that have a learning curve."""
    ranking = leaderboard(seen.view.state, len(seen.view.state.trials))
    return [trial.trial for trial in ranking if trial.curve][:LEADERS]


def figure_spec(reader: RunReader, name: str) -> Spec:
    """The specification of a figure by its name; `front:COST,VALUE` is the front of two measures, and
    `curves:TRIAL,TRIAL` are the learning curves of some trials.

    Raises:
        NotFound: there is none of this name now.
        BadInput: no net has one of the measures.
    """

    def make(seen: Seen) -> Spec:
        if name.startswith(FRONT):
            cost, _, value = name.removeprefix(FRONT).partition(",")
            if not seen.history.ended:
                raise NotFound(f"run {reader.run} has no trained net yet")
            known = next((one for one in reader.figures.axes if one[:2] == (cost, value)), Axes(cost, value))
            return reader.figures.front(known, ON_PAGE).spec
        if name.startswith(CURVES):
            wanted = dict.fromkeys(name.removeprefix(CURVES).split(","))
            trials = seen.view.state.trials
            found = [trials[trial] for trial in wanted if trial in trials and trials[trial].curve]
            if not found:
                raise NotFound("none of these trials has a learning curve")
            return reader.figures.curves(found[:_MOST_CURVES], ON_PAGE).spec
        groups = reader.made("figure list", lambda seen: _groups(reader, seen))
        for figures in groups.values():
            for figure in figures:
                if figure.name == name:
                    return figure.spec
        raise NotFound(f"run {reader.run} has no figure {name!r} now")

    return reader.made(("spec", name), make)


def trials(reader: RunReader) -> list[Answer]:
    """The fields of `metaqnn-orch trials -o json`, and what the table shows beside them."""
    return reader.made("trials", lambda seen: _rows(seen, seen.view.state.trials.values()))


def _rows(seen: Seen, some: Iterable[Any]) -> list[Answer]:
    listed = [*some]
    return [
        {
            **row,
            "seconds": trial.seconds or None,  # a table need not say any
            "macs": trial.macs,
            "samplings": trial.samplings,
            "device": trial.device,
            "epochs": len(trial.curve) or None,
        }
        for row, trial in zip(trial_rows(seen.view.state, listed, works=seen.works), listed, strict=True)
    ]


def beliefs(reader: RunReader, after: str) -> Answer:
    """The fields of `metaqnn-orch explain -o json`, with the searcher's words for its values.

    Raises:
        BadInput: the space of the run does not hold the beginning.
        NotationError: the text is no beginning of a design.
    """

    def make(seen: Seen) -> Answer:
        state = seen.view.state
        if state.settings.nets:
            raise BadInput("the nets of this run come from a list: nobody searched")
        found = explain(state, after)
        return {
            **found._asdict(),
            "moves": [move._asdict() for move in found.moves],
            "findings": [],
            "value_words": one_line(state.searcher.value_words, 40),
            "noun": state.space.noun,
        }

    return reader.made(("beliefs", after), make)


def trial(reader: RunReader, name: str) -> Answer:
    """One trial: its row, its parts, its attempts, and where it ranks.

    Raises:
        NotFound: the run has no such trial.
    """

    def make(seen: Seen) -> Answer:
        state = seen.view.state
        found = state.trials.get(name)
        if found is None:
            raise NotFound(f"run {reader.run} has no trial {name!r}")
        lost = [trouble for trouble in seen.history.troubles if trouble.trial == name]
        ended = [item for item in seen.history.trained if item.trial is found]
        ranking = leaderboard(state, len(state.trials))
        try:
            parts = [
                {"name": part.name, "output": part.output, **part.cost._asdict()}
                for part in state.space.describe(found.net)
            ]
        except (ContractError, PluginsMissing):  # an imported net need not fit
            parts = []
        return {
            "row": _rows(seen, [found])[0],
            "reward": reward_name(state.settings),
            "no_curve": ""
            if found.state == "in_flight" or found.curve
            else why_no_curve(found, seen.view.record.table),
            "rank": next((place for place, one in enumerate(ranking, 1) if one is found), None),
            "of": len(ranking),
            "part": state.space.part,
            "parts": parts,
            "told": [item.at.isoformat() if item.at else None for item in ended],
            "attempts": [
                {
                    "attempt": trouble.attempt,
                    "end": trouble.kind,
                    "detail": one_line(trouble.detail, 500),
                    "at": trouble.at.isoformat() if trouble.at else None,
                }
                for trouble in lost[-_ATTEMPTS:]
            ],
            "confirmations": [one.trial for one in found.confirmations],
        }

    return reader.made(("trial", name), make)


def drawing_spec(reader: RunReader, name: str) -> Spec:
    """The drawing of a trial's net.

    Raises:
        NotFound: the run has no such trial.
        ContractError: the net does not fit the space of the run.
        PluginsMissing: the space is not installed here.
    """

    def make(seen: Seen) -> Spec:
        found = seen.view.state.trials.get(name)
        if found is None:
            raise NotFound(f"run {reader.run} has no trial {name!r}")
        settings = seen.view.state.settings
        drawn = net_drawing(settings, found.net, ON_PAGE)
        if drawn is None:
            assert isinstance(settings, Readable)
            raise settings.lack
        return drawn

    return reader.made(("drawing", name), make)
