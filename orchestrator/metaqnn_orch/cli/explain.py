"""metaqnn-orch explain RUN"""

from __future__ import annotations

from typing import Final

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_lines, print_rows
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import one_line
from metaqnn_orch.reporting.explain import explain
from metaqnn_orch.reporting.findings import places
from metaqnn_orch.reporting.summary import read_known, reward_name

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
_ALWAYS: Final = ("layer", "trained", "best_reward")  # the others are a searcher's to say


def explain_run(
    run: options.Run,
    store: options.Store,
    after: options.After = "",
    output: options.Output = Format.TABLE,
) -> None:
    """Show what the searcher believes, and would choose.

    The choices that may follow, as layers of a net, the most valued first. For each: the value that the searcher gives
    it; how many trained nets begin so, and the best reward of those; and the net that the choice leads to where the
    best is chosen from there on. Without --after it is the first choice that is explained, and what the searcher has
    learned of the space as a whole comes after it.

    \b
    What the value is
      q-learning  the Q-value, with the number of its updates (where 0, it is the one that all begin with) and the
                  probability of the choice at the current epsilon
      guided      the reward that is expected of the best net behind the choice, of those that are known and ten random
                  ones; the net is this one
      others      give no values, and show what was trained
    """
    state = read_known(open_store(store), run).state
    explanation, reward = explain(state, after), reward_name(state.settings).removeprefix("val ")
    if output is Format.JSON:
        print_json(explanation)
        return
    if explanation.moves:
        moves = explanation.moves
        words = {
            "layer": state.space.noun,
            "q_value": one_line(state.searcher.value_words, 40),
            "best_reward": f"best {reward}",
        }
        told = [name for name in _COLUMNS if name in _ALWAYS or any(getattr(move, name) is not None for move in moves)]
        columns = {words.get(name, name.replace("_", " ")): _COLUMNS[name] for name in told}
        print_rows(columns, [[getattr(move, name) for name in told] for move in moves])
        print_lines([""])
    print_fields(
        [
            ("after", explanation.after),
            *([] if explanation.epsilon is None else [("epsilon", explanation.epsilon)]),
            ("the searcher", explanation.choice),
            ("trained nets that begin like this", explanation.trained),
            ("best net of these", explanation.best_trained),
            (f"its {reward}", explanation.best_reward),
        ]
    )
    curves = []
    for finding in explanation.findings:
        if places(finding) is None:
            print_lines(["", finding.title])
            print_rows({finding.label or "what": "", finding.unit: ".4f"}, [*finding.values.items()])
        else:
            curves.append((finding.title, ", ".join(f"{at}: {value:.4g}" for at, value in finding.values.items())))
    if curves:
        print_lines([""])
        print_fields(curves)
