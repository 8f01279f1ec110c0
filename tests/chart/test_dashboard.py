"""The dashboard asks for metrics that there are."""

from __future__ import annotations

import json
import re

from prometheus_client import generate_latest

from metaqnn_orch.reporting.metrics import Metrics
from tests.chart.conftest import CHART


def test_every_metric_is_shown_and_every_shown_one_exists() -> None:
    dashboard = json.loads((CHART / "dashboards" / "metaqnn.json").read_text())
    asked = {
        name.removesuffix("_bucket")
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"metaqnn_\w+", target["expr"])
    }
    text = generate_latest(Metrics("x").registry).decode()
    there = {name for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE) if not name.endswith("_created")}
    assert asked == there
