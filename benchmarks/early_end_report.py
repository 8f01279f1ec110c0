"""The tables of `make bench-early-end`."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Spread, markdown
from metaqnn_orch.settings.early_end import FEWEST


def tables(content: dict[str, Any]) -> str:
    """For people; what was measured stands in `content` in full."""
    options, found = content["options"], content["found"]
    learned = [net for net in content["nets"] if net["curve"]]
    counts, shares = ("under rule", "stopped"), ("epochs saved", "seconds saved", "seconds saved in all")
    saved = [
        [
            rule,
            *(Spread(**of[name]).text(".0f") for name in counts),
            *(Spread(**of[name]).text(".0%") for name in shares),
            f"{of['wrongly']} of {of['all better']}",
        ]
        for rule, of in found.items()
    ]
    equal = [
        [
            rule,
            Spread(**of["begun"]).text(".0f"),
            f"{of['best']:.4f}",
            "{mean:+.4f} ({low:+.4f} to {high:+.4f})".format(**of["gain"]),
            f"{of['searches that lost the best']} of {options['searches']}",
            f"{of['lost']:.4f}",
        ]
        for rule, of in content["equal epochs"].items()
    ]
    marks = [f"{of['mark']:.4f}" for of in next(iter(found.values()))["lower marks"]]
    mistaken = [[rule, *map(_mistakes, of["lower marks"])] for rule, of in found.items()]
    foretold = [
        [
            f"{rule}: {whose}",
            *(f"{of[whose][name]:.4f}" for name in ("error", "bias", "spread")),
            *(f"{of[whose][name]:.0%}" for name in ("within 1", "within 2")),
        ]
        for rule, of in found.items()
        for whose in ("stopped nets", "all nets when first asked")
    ]
    return (
        f"{len(content['nets'])} nets of the random policy on the digits, {options['epochs']} epochs each; "
        f"{len(learned)} learned, the best {max(max(net['curve']) for net in learned):.4f}. Their curves in "
        f"{options['orders']} orders, each rule from as many examples on as it has by default: median (quartiles). In "
        "all counts the nets before that, and those that never learned, too. Stopped wrongly is who would have beaten "
        "the best until then, of all who would have, in all orders\n\n"
        + markdown(["rule", *counts, *shares, "stopped wrongly"], saved)
        + f"\n{options['searches']} random searches that each have the epochs of {options['worth']} whole nets; a net "
        f"that never learned used one for each learning rate. Here a prediction begins with {FEWEST} examples. Gain "
        "is the best accuracy minus that of the same search without a rule: mean (95 % interval by the bootstrap). "
        "The best is lost where a net was stopped that would have become the search's best; the last column is the "
        "mean of what it was better by\n\n"
        + markdown(["rule", "nets begun", "mean best", "gain", "searches that lost the best", "mean loss"], equal)
        + "\nMistakes, had a lower mark been to be beaten: how many of the stopped nets would have beaten it, and how "
        "many of the nets that would have beaten it were stopped\n\n"
        + markdown(["rule", *marks], mistaken)
        + "\nWhat was foretold, beside what came\n\n"
        + markdown(["", "mean error", "bias", "mean spread", "within 1 spread", "within 2"], foretold)
    )


def _mistakes(of: dict[str, Any]) -> str:
    def share(whole: int) -> str:
        return f"{of['wrongly'] / whole:.1%} of {whole:,}" if whole else "none"

    return f"{share(of['all stopped'])}; {share(of['all better'])}"
