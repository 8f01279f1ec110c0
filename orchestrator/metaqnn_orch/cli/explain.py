"""metaqnn-orch explain RUN"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_lines, print_rows
from metaqnn_orch.reporting.explain import explain
from metaqnn_orch.reporting.summary import read_run, reward_name
from metaqnn_trainer.store.opening import open_store

# The net comes last: it alone may be longer than a line.
_COLUMNS: Final = {
    "layer": "",
    "q_value": ".4f",
    "updates": ",d",
    "probability": ".4f",
    "trained": ",d",
    "best_reward": ".4f",
    "completion": "",
}


def explain_run(
    run: options.Run,
    store: options.Store,
    after: Annotated[str, typer.Option("--after", metavar="NET_PREFIX", help="The first layers of a net.")] = "[]",
    output: options.Output = Format.TABLE,
) -> None:
    """Show what the searcher believes, and what it would choose.

    The layers that may follow, the most valued first. For each: its Q-value, and how often that was updated (where
    never, it is the one that all begin with); the probability that the searcher chooses it at the current epsilon; how
    many trained nets begin so, and the best reward of those; and the net that the layer leads to where the best is
    chosen from there on. Without --after it is the first layer that is explained.
    """
    state = read_run(open_store(store), run).state
    explanation, reward = explain(state, after), reward_name(state.settings).removeprefix("val ")
    if output is Format.JSON:
        print_json({**explanation._asdict(), "moves": [move._asdict() for move in explanation.moves]})
        return
    if explanation.moves:
        rows = [[getattr(move, name) for name in _COLUMNS] for move in explanation.moves]
        names = (name.replace("_", " ").replace("reward", reward) for name in _COLUMNS)
        print_rows(dict(zip(names, _COLUMNS.values(), strict=True)), rows)
        print_lines([""])
    print_fields(
        [
            ("after", explanation.after),
            ("epsilon", explanation.epsilon),
            ("the searcher", explanation.choice),
            ("trained nets that begin like this", explanation.trained),
            ("best net of these", explanation.best_trained),
            (f"its {reward}", explanation.best_reward),
        ]
    )
