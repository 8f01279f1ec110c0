"""The JSON of each command: the one list of what `-o json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from metaqnn_orch.application.datasets import DatasetRow
from metaqnn_orch.application.describing import Described, Following
from metaqnn_orch.application.doctor.diagnosis import Diagnosis
from metaqnn_orch.application.installed import Installed
from metaqnn_orch.application.preview import Estimate
from metaqnn_orch.application.run_list import ListedRun
from metaqnn_orch.application.run_shown import ShownRun
from metaqnn_orch.application.trainer_check.registry import Checked
from metaqnn_orch.application.trial_view import TrialView
from metaqnn_orch.cli.dashboard import DashboardAddress
from metaqnn_orch.cli.detached import DetachedRun
from metaqnn_orch.cli.enqueue import NetQueued
from metaqnn_orch.cli.export import ExportedTrial
from metaqnn_orch.cli.gc import Leftovers
from metaqnn_orch.cli.init import DraftMade
from metaqnn_orch.cli.pull import Pulled
from metaqnn_orch.cli.replay import ImportedRun
from metaqnn_orch.cli.retrain import Retrained
from metaqnn_orch.cli.runs import CopiedRun, RemovedRun
from metaqnn_orch.reporting.answers import RunStatus, RunSummary, TrialRow
from metaqnn_orch.reporting.explain import Explanation
from metaqnn_orch.reporting.verdict import Verdict
from metaqnn_orch.settings.sources import InForce


class Answer(NamedTuple):
    """What a command prints with `-o json`: one document, when the command ends."""

    kind: Any
    """Type of the document."""
    note: str
    """What there is to know of it, in a sentence."""


# By the command, with the options that make it another answer.
ANSWERS: Final[Mapping[str, Answer]] = {
    "start": Answer(RunSummary, "It is printed when the session ends, also if a signal or the budget ended it."),
    "start --dry-run": Answer(Estimate, "Nothing is created."),
    "start --detach": Answer(DetachedRun, "It is printed when the search works on the run, or has nothing left to do."),
    "resume": Answer(RunSummary, "It is printed when the session ends, also if a signal or the budget ended it."),
    "status": Answer(RunStatus, "With `--watch` it is printed once, when the run has ended."),
    "trial": Answer(TrialView, "It is the trial whose id begins as was asked."),
    "trials": Answer(list[TrialRow], "A list, in the order of their proposal."),
    "pull": Answer(Pulled, "It is printed where something is missing, too; the exit code is 5 then."),
    "finals": Answer(Verdict, "It is printed when all finals are trained and judged."),
    "retrain": Answer(Retrained, "It is printed when the session ends."),
    "export": Answer(ExportedTrial, "It is printed when the file has its name."),
    "explain": Answer(Explanation, "Without `--after` it has findings, too."),
    "import-replay": Answer(ImportedRun, "It is printed when the run has begun."),
    "enqueue": Answer(NetQueued, "The searcher learns from the net as from its own."),
    "runs list": Answer(list[ListedRun], "A list, by name, with everything that is left of a run."),
    "runs show": Answer(ShownRun, "Settings of how the work is done are no part of a run."),
    "runs copy": Answer(CopiedRun, "It is printed when the copy is whole."),
    "runs rename": Answer(CopiedRun, "It is printed when the run has its new name."),
    "runs rm": Answer(RemovedRun, "Without `--delete` nothing is removed."),
    "init": Answer(DraftMade, "It is printed when the file is written."),
    "dashboard": Answer(DashboardAddress, "It is printed once, as soon as the dashboard listens."),
    "describe": Answer(Described, "A net that the space does not hold is described, too."),
    "manifest": Answer(dict[str, Any], "It is a Job of Kubernetes' API group batch/v1, whose schema is Kubernetes'."),
    "gc": Answer(Leftovers, "Without `--delete` nothing is deleted."),
    "doctor": Answer(list[Diagnosis], "A list; the exit code is 1 where a mark is bad."),
    "space": Answer(dict[str, Any], "It has the settings of the section `space`, which depend on `space.family`."),
    "space --after": Answer(Following, "The choices have the order of the space."),
    "dataset push": Answer(DatasetRow, "It is printed when the dataset is in the store."),
    "dataset list": Answer(list[DatasetRow], "A list."),
    "config show": Answer(dict[str, InForce], "An object with a field for each setting, by its dotted key."),
    "config plugins": Answer(list[Installed], "A list."),
    "trainer check": Answer(list[Checked], "A list; the exit code is 1 where a check failed."),
}


def asked(command: str, arguments: list[str]) -> str:
    """The key of the answer to a command with these arguments."""
    special = (key for key in ANSWERS if key.startswith(f"{command} --"))
    return next((key for key in special if key.rpartition(" ")[2] in arguments), command)
