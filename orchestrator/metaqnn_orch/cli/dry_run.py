"""start --dry-run: the bill before the run."""

from __future__ import annotations

from typing import Final

from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.preview import Preview, estimate
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_rows, say, tell
from metaqnn_orch.control.objective import in_words
from metaqnn_orch.reporting.cautions import only_random
from metaqnn_orch.reporting.dearest import LIMIT, Foreseen
from metaqnn_orch.reporting.summary import method_in_words, reward_name
from metaqnn_orch.settings.model import Settings

_COLUMNS: Final = {"epsilon": ".2f", "nets": ",d", "GPU-hours": ",.2f", "money": ",.2f", "hours": ",.2f"}


def print_bill(run: str, seen: Preview, settings: Settings, output: Format) -> None:
    """Print what `start` with the same arguments would cost and create."""
    if idle := only_random(settings):
        tell(idle, Tone.CAUTION)
    if output is Format.JSON:
        print_json(estimate(run, seen, settings))
    else:
        _print(seen, settings)
    say("a dry run: nothing was created")


def _print(seen: Preview, settings: Settings) -> None:
    made, basis, creates, dearest = seen
    rows: list[tuple[object, ...]] = [(epsilon, *cost) for epsilon, cost in made.phases]
    again = [("to confirm", *made.confirming)] if made.confirming is not None else []
    if rows or again:
        titled = {name if made.phases or name != "epsilon" else "": form for name, form in _COLUMNS.items()}
        print_rows(titled, [*rows, *again, ("all", *made.whole)])
    else:
        print_rows({name: form for name, form in _COLUMNS.items() if name != "epsilon"}, [made.whole])
    seconds = "" if basis.seconds is None else f"{basis.seconds:,.1f} s for a net: "
    price = settings.budget.price_per_gpu_hour
    fields: list[tuple[str, object]] = [] if settings.nets else [("searches by", method_in_words(settings))]
    fields.append(("estimate", seconds + basis.words))
    if basis.seconds is None:
        fields.append(("to know more", "--trial-seconds S, or train a few first: --max-trials 4"))
    if price is not None:
        fields.append(("price", f"{price:,.2f} {settings.budget.currency or ''}".rstrip() + " for an hour of a GPU"))
    fields += _in_words(dearest) if dearest is not None else []
    for name, nets in made.limits.items():
        enough = "all of them" if nets >= made.whole.nets else f"about {nets:,} of all {made.whole.nets:,} nets"
        fields.append((f"within budget.{name}", enough))
    if settings.budget.target is not None:
        name = reward_name(settings).replace("val ", "validation ")
        fields.append(("ends earlier at", f"{settings.budget.target:g} {name}"))
    if settings.objective.changes_reward:
        fields.append(("objective", in_words(settings.objective)))
    print_fields([*fields, *(("creates", line) for line in creates)])


def _in_words(dearest: Foreseen) -> list[tuple[str, object]]:
    share = f"{dearest.share:.0%} of the multiply-accumulates of {dearest.nets} random nets of this space"
    fields: list[tuple[str, object]] = [("dearest tenth of nets", share)]
    if dearest.max_macs is not None and dearest.saves is not None:
        saved = f"about {dearest.saves:.0%} fewer multiply-accumulates for a net, on average"
        fields.append(("without them", f"--set space.{LIMIT}={dearest.max_macs}: {saved}"))
    return fields
