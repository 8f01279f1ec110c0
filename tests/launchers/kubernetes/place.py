"""A folder with a kubeconfig of a test's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaqnn_orch.errors import LauncherError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.credentials import connect

TOKEN = "secret-token"


class Place:
    """A folder with a kubeconfig, which leads to the double."""

    def __init__(self, folder: Path, url: str, namespace: str) -> None:
        self.folder = folder
        self.url = url
        self.file = folder / "config"
        self.cluster: dict[str, Any] = {"server": url}
        self.user: dict[str, Any] = {"token": TOKEN}
        self.context: dict[str, Any] = {"cluster": "c", "user": "u", "namespace": namespace}
        self.write()

    def write(self, **changes: Any) -> Path:
        """What is said of cluster, user and context, and at the top."""
        content = {
            "current-context": "lab",
            "contexts": [{"name": "lab", "context": self.context}],
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "users": [{"name": "u", "user": self.user}],
            **changes,
        }
        self.file.write_text(yaml.safe_dump(content))
        return self.file

    def helper(self, script: str, **more: Any) -> None:
        """A login helper that runs this, of a shell."""
        path = self.folder / "helper.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        version = "client.authentication.k8s.io/v1"
        self.user = {"exec": {"apiVersion": version, "command": "./helper.sh", **more}}
        self.write()

    def answers(self, **status: str) -> str:
        """A script that answers so."""
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        return f"printf %s {shlex.quote(json.dumps(credential))}"

    def refused(self, words: str, context: str | None = None) -> LauncherError:
        """Why there is no connection: one line, which holds `words` and no secret."""
        with pytest.raises(LauncherError) as raised:
            Cluster(connect, context=context)
        message = str(raised.value)
        assert words in message
        assert f"{message}{raised.value.hint}".isprintable()
        assert TOKEN not in message + raised.value.hint
        assert raised.value.exit_code == 6
        return raised.value

    def is_let_in(self, context: str | None = None) -> bool:
        """Whether the kubeconfig leads to the namespace, in which there are no Jobs."""
        cluster = Cluster(connect, context=context)
        return cluster.namespace == self.context["namespace"] and cluster.list(Resource.JOBS).items == []
