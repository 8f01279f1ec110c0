"""The chart, rendered by the real helm."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.helm import program

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "metaqnn"
KITCHEN_SINK: Final = Path(__file__).parent / "kitchen-sink.yaml"
MONITORING: Final = "--api-versions=monitoring.coreos.com/v1"

Object = dict[str, Any]


class Yaml(yaml.SafeLoader):
    """As Kubernetes reads it: a lone = is text."""


def _text(loader: Yaml, node: yaml.Node) -> str:
    return str(node.value)


Yaml.add_constructor("tag:yaml.org,2002:value", _text)


def helm(*arguments: object) -> subprocess.CompletedProcess[str]:
    # Without its garbage collector it needs a fifth less processor time.
    environment = {**os.environ, "GOGC": "off"}
    return subprocess.run(
        [program("helm"), *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


def template(*arguments: object, name: str = "first") -> list[Object]:
    """All objects of a release in the namespace trials."""
    return [thing for thing in yaml.load_all(_rendered(name, *map(str, arguments)), Yaml) if thing]


@cache
def _rendered(name: str, *arguments: str) -> str:
    done = helm("template", name, CHART, "--namespace=trials", MONITORING, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    """Why nothing was rendered."""
    done = helm("template", "first", CHART, "--namespace=trials", *arguments)
    assert done.returncode != 0, done.stdout
    return done.stderr


def one(objects: list[Object], kind: str, name: str = "") -> Object:
    (found,) = [thing for thing in objects if thing["kind"] == kind and name in ("", thing["metadata"]["name"])]
    return found


def sets(**values: object) -> list[str]:
    """--set of dotted keys, whose dots are written as two underscores."""
    return [f"--set={key.replace('__', '.')}={value}" for key, value in values.items()]
