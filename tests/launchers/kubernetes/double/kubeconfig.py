"""A kubeconfig that leads to the double."""

from __future__ import annotations

import json
from pathlib import Path


def write_kubeconfig(path: Path, url: str, token: str, namespace: str = "trials") -> Path:
    """A kubeconfig, in JSON, which is YAML."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "double",
        "contexts": [{"name": "double", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.write_text(json.dumps(content))
    return path
