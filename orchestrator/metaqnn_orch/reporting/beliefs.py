"""The agent's Q-values by depth: the means in the paper's Figures A3 and A4."""

from __future__ import annotations

from collections.abc import Sequence

from metaqnn_orch.reporting import statistics
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Spec, axis, legend, said, spec
from metaqnn_orch.search.q_table import QTable
from metaqnn_trainer.spaces.cnn.registry import kinds


def q_figures(q_table: QTable, colours: Palette) -> list[Figure]:
    """Mean Q-values by the kind of layer, and of convolutions by the receptive field, on the same scale."""
    layers = statistics.mean_q(q_table, statistics.layer_type)
    fields = statistics.mean_q(q_table, statistics.receptive_field)
    means = [item.mean for item in (*layers, *fields)]
    domain = [min(means), max(means)] if len({*means}) > 1 else None
    return [_by_layer(layers, domain, colours), _by_field(fields, domain, colours)]


def _by_layer(found: Sequence[statistics.MeanQ], domain: list[float] | None, colours: Palette) -> Figure:
    """Mean Q-values by the kind of layer (the paper's Figure A3)."""
    groups = {item.group for item in found}
    used = [kind for name, kind in kinds().items() if name in groups]
    names = {kind.name: kind.words for kind in used}
    return Figure(
        "figure-a3-q-by-layer-type",
        "Layer types",
        "Mean Q-value of each type of layer at each depth, over all values that were ever updated. "
        "The paper's Figure A3.",
        [item._asdict() for item in found],
        _q_lines(
            [item._replace(group=names[item.group]) for item in found],
            list(names.values()),
            [getattr(colours, kind.colour) for kind in used],
            domain,
            colours,
        ),
    )


def _by_field(found: Sequence[statistics.MeanQ], domain: list[float] | None, colours: Palette) -> Figure:
    """Mean Q-values by the receptive field (the paper's Figure A4)."""
    fields = sorted({item.group for item in found}, key=int)
    names = {field: f"{field}×{field}" for field in fields}
    return Figure(
        "figure-a4-q-by-receptive-field",
        "Receptive fields",
        "Mean Q-value of convolutions by receptive field and depth. The paper's Figure A4.",
        [item._asdict() for item in found],
        _q_lines(
            [item._replace(group=names[item.group]) for item in found],
            list(names.values()),
            colours.series,
            domain,
            colours,
        ),
    )


def _q_lines(
    found: Sequence[statistics.MeanQ],
    groups: list[str],
    scale: list[str],
    domain: list[float] | None,
    colours: Palette,
) -> Spec:
    values = [
        {**item._asdict(), "text": f"{item.group} at depth {item.depth}: {item.mean:.4f}, the mean of {item.entries:,}"}
        for item in found
    ]
    encoding = {
        "x": axis("depth", "ordinal", "depth of the layer"),
        "y": axis("mean", "quantitative", "mean Q-value", scale={"domain": domain} if domain else {"zero": False}),
        "color": legend("group", groups, scale),
    }
    encoding["x"]["axis"]["grid"] = False
    return spec(
        colours,
        height=230,
        data={"values": values},
        layer=[
            {"mark": {"type": "line", "strokeWidth": 1.8, "aria": False}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": {**encoding, "shape": {**encoding["color"], "scale": {"domain": groups}}, **said("text")},
            },
        ],
    )
