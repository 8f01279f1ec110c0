"""The tables of `make bench-early-end`."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Spread, markdown


def tables(content: dict[str, Any]) -> str:
    """For people; what was measured stands in `content` in full."""
    options, found = content["options"], content["found"]
    learned = [net for net in content["nets"] if net["curve"]]
    counts, shares = ("under rule", "stopped"), ("epochs saved", "seconds saved", "seconds saved in all")
    saved = [
        [
            confidence,
            *(Spread(**of[name]).text(".0f") for name in counts),
            *(Spread(**of[name]).text(".0%") for name in shares),
            f"{of['wrongly']} of {of['all better']}",
            Spread(**of["best lost"]).text(".4f"),
            f"{of['runs that lost the best']} of {options['orders']}",
        ]
        for confidence, of in found.items()
    ]
    marks = [f"{of['mark']:.4f}" for of in next(iter(found.values()))["lower marks"]]
    mistaken = [[confidence, *map(_mistakes, of["lower marks"])] for confidence, of in found.items()]
    foretold = [
        [
            f"{confidence}, {whose}",
            *(f"{of[whose][name]:.4f}" for name in ("error", "bias", "spread")),
            *(f"{of[whose][name]:.0%}" for name in ("within 1", "within 2")),
        ]
        for confidence, of in found.items()
        for whose in ("stopped nets", "all nets when first asked")
    ]
    return (
        f"{len(content['nets'])} nets of the random policy on the digits, {options['epochs']} epochs each; "
        f"{len(learned)} learned, the best {max(max(net['curve']) for net in learned):.4f}. Their curves in "
        f"{options['orders']} orders, the rule from {options['examples']} examples on: median (quartiles). In all "
        "counts the nets before that, and those that never learned, too. Stopped wrongly is who would have beaten the "
        "best until then, of all who would have, in all orders\n\n"
        + markdown(
            ["confidence", *counts, *shares, "stopped wrongly", "best accuracy lost", "orders that lost it"], saved
        )
        + "\nMistakes, had a lower mark been to be beaten: how many of the stopped nets would have beaten it, and how "
        "many of the nets that would have beaten it were stopped\n\n"
        + markdown(["confidence", *marks], mistaken)
        + "\nWhat was foretold, beside what came\n\n"
        + markdown(["", "mean error", "bias", "mean spread", "within 1 spread", "within 2"], foretold)
    )


def _mistakes(of: dict[str, Any]) -> str:
    def share(whole: int) -> str:
        return f"{of['wrongly'] / whole:.1%} of {whole:,}" if whole else "none"

    return f"{share(of['all stopped'])}; {share(of['all better'])}"
