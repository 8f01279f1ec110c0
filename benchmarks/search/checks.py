"""What `make bench-search` can say of searchers beside pages: what proposals cost, and whether they can be rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import process_time
from typing import Final

from benchmarks.measure import markdown
from benchmarks.search.contestants import Contestant, search
from benchmarks.search.driver import Trained, rebuilt, searcher_of
from benchmarks.search.landscape import Landscape
from benchmarks.search.traces import Trace

TOLD: Final = (100, 1000, 2500)
FOLLOWING: Final = 20  # proposals that are compared


def cost_table(contestants: Sequence[tuple[str, Contestant]], where: Landscape, budgets: Sequence[int]) -> str:
    """Processor time of a whole search, divided by its trainings, which cost nothing here."""
    rows = []
    for name, who in contestants:
        possible = [budget for budget in budgets if who.most is None or budget <= who.most]
        costs = [f"{_cost(who, where, budget):.2g}" for budget in possible]
        rows.append([name, *costs, *["–"] * (len(budgets) - len(costs))])
    return markdown([f"ms a proposal, {where.name}", *(f"{budget} trainings" for budget in budgets)], rows)


def _cost(who: Contestant, where: Landscape, budget: int) -> float:
    """In milliseconds."""
    begun = process_time()
    found = search(who, where, budget, seed=0, parallel=1)
    return 1e3 * (process_time() - begun) / len(found.rewards)


def rebuilt_lines(who: Contestant, where: Landscape, traces: Sequence[Trace]) -> Iterator[str]:
    """One for each number of results that some searches have."""
    for told in TOLD:
        long = [trace for trace in traces if len(trace.designs) >= told + FOLLOWING]
        equal = 0
        for trace in long:
            searcher = searcher_of(who.method, dict(who.options), where.space, trace.task.budget, trace.task.seed)
            equal += rebuilt(searcher, Trained(trace.designs, trace.rewards, trace.steps), told, FOLLOWING)
        if long:
            yield (
                f"{where.name}: {equal} of {FOLLOWING * len(long)} proposals of a new searcher that was told {told} "
                f"results at once are those of the search, in {len(long)} searches"
            )
