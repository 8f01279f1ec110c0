"""Turns a user of a kubeconfig into credentials for the API. Login helpers are called as kubectl calls them: exec
plugins (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins) and
OIDC issuers.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from threading import current_thread, main_thread
from typing import Any, Final, NamedTuple

import urllib3

from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.kubernetes.kubeconfig import KubeconfigEntry
from metaqnn_orch.launchers.kubernetes.oidc import id_token

HELPER_SECONDS: Final = 60.0  # seconds that a helper may take which asks no person
# seconds after which a token in a file is read again, because other programs replace it
TOKEN_FILE_SECONDS: Final = 60.0
_PROVIDERS: Final = (
    "kubectl no longer supports it either: name a login helper with `kubectl config set-credentials --exec-command`"
)


class Login(NamedTuple):
    """The credentials of one user."""

    authorization: str = ""
    """Value of the header Authorization."""
    certificate: bytes = b""
    key: bytes = b""
    seconds: float = inf
    """Seconds for which they are valid."""


def log_in(user: KubeconfigEntry, cluster: KubeconfigEntry, helper_seconds: float = HELPER_SECONDS) -> Login:
    """The credentials of this user. A login helper that asks no person gets `helper_seconds`.

    Raises:
        LauncherError: an entry is wrong, or a login helper failed.
    """
    login = Login(certificate=user.content("client-certificate"), key=user.content("client-key"))
    provider = user.inner("auth-provider")
    if (path := user.path("tokenFile")) is not None:
        token = user.read(path, "tokenFile").decode(errors="replace").strip()
        if not token:
            raise user.wrong(f"tokenFile {path} is empty")
        return login._replace(authorization=bearer(user, token), seconds=TOKEN_FILE_SECONDS)
    if token := user.text("token"):
        return login._replace(authorization=bearer(user, token))
    if (helper := user.inner("exec")) is not None:
        return _ask(helper, cluster, login, helper_seconds)
    if provider is not None:
        if provider.text("name") != "oidc":
            raise user.wrong(f"auth-provider {provider.text('name')} is not supported", _PROVIDERS)
        token, seconds = id_token(provider)
        return login._replace(authorization=bearer(user, token), seconds=seconds)
    if name := user.text("username"):
        header = urllib3.make_headers(basic_auth=f"{name}:{user.text('password')}")
        return login._replace(authorization=header["authorization"])
    return login


def bearer(user: KubeconfigEntry, token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise user.wrong("its token contains white space or characters that are not ASCII")
    return f"Bearer {token}"


def _ask(helper: KubeconfigEntry, cluster: KubeconfigEntry, login: Login, seconds_to_answer: float) -> Login:
    """The answer of an exec plugin."""
    name, version = helper.text("command"), helper.text("apiVersion")
    if not name:
        raise helper.wrong("it names no command")
    command = str(helper.file.parent / name) if os.sep in name else name
    # Only the person who starts a command can be asked: on a terminal, and not from a thread during a session.
    mode, asked = helper.text("interactiveMode"), current_thread() is main_thread() and _has_terminal()
    if mode == "Always" and not asked:
        raise helper.wrong(f"login helper {name} needs a terminal", "log in first: kubectl get pods")
    about: dict[str, Any] = {"interactive": asked and mode != "Never"}
    if helper.flag("provideClusterInfo"):
        about["cluster"] = _described(cluster)
    question = {"apiVersion": version, "kind": "ExecCredential", "spec": about}
    environment = {**os.environ, **_variables(helper), "KUBERNETES_EXEC_INFO": json.dumps(question)}
    limit = None if about["interactive"] else seconds_to_answer
    code, out, err = _run(helper, [command, *helper.texts("args")], environment, limit)
    if code != 0:
        said = one_line(err) or "it said nothing"
        raise helper.wrong(f"login helper {name} failed with exit code {code}: {said}", f"try it by hand: {name}")
    try:
        answer = json.loads(out)
        status = answer["status"]
        token, certificate = str(status.get("token") or "").strip(), str(status.get("clientCertificateData") or "")
        expires = status.get("expirationTimestamp")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise helper.wrong(f"login helper {name} answered no ExecCredential") from None
    if answer.get("apiVersion") != version:
        raise helper.wrong(f"login helper {name} answered in {answer.get('apiVersion')} instead of {version}")
    if not token and not certificate:
        raise helper.wrong(f"login helper {name} answered neither token nor certificate")
    seconds = inf
    with suppress(ValueError, TypeError, AttributeError):
        seconds = (datetime.fromisoformat(expires).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    if certificate:
        login = login._replace(certificate=certificate.encode(), key=str(status.get("clientKeyData") or "").encode())
    return login._replace(authorization=bearer(helper, token) if token else "", seconds=seconds)


def _run(
    helper: KubeconfigEntry, command: list[str], environment: Mapping[str, str], limit: float | None
) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a login helper, which gets `limit` seconds. A helper without a
    limit may ask a person, and writes its standard error to the terminal.
    """
    name, asking = one_line(command[0], 200), limit is None
    try:
        process = subprocess.Popen(
            command,
            stdin=None if asking else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if asking else subprocess.PIPE,
            env=environment,
            start_new_session=not asking,
        )
    except (OSError, ValueError) as error:
        hint = one_line(helper.text("installHint")) or "is it installed, and in PATH?"
        reason = getattr(error, "strerror", None) or error
        raise helper.wrong(f"login helper {name} cannot be started: {reason}", hint) from None
    with process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # a process that it started holds its pipes open
            _, err = process.communicate()
            words = one_line(err.decode(errors="replace")) or "it said nothing"
            raise helper.wrong(f"login helper {name} did not end within {limit:.0f} s: {words}") from None
    return process.returncode, out, "see its output above" if asking else err.decode(errors="replace")


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _variables(helper: KubeconfigEntry) -> dict[str, str]:
    given = helper.values.get("env") or []
    try:
        return {str(each["name"]): str(each["value"]) for each in given}
    except (TypeError, KeyError):
        raise helper.wrong("env is not a list of names and values") from None


def _described(cluster: KubeconfigEntry) -> dict[str, Any]:
    """The description of the cluster that a helper gets."""
    authority = cluster.content("certificate-authority")
    told = {
        "server": cluster.text("server"),
        "tls-server-name": cluster.text("tls-server-name"),
        "insecure-skip-tls-verify": cluster.flag("insecure-skip-tls-verify"),
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "proxy-url": cluster.text("proxy-url"),
    }
    extensions = cluster.values.get("extensions")
    for each in extensions if isinstance(extensions, list) else ():
        if isinstance(each, Mapping) and each.get("name") == "client.authentication.k8s.io/exec":
            told["config"] = each.get("extension")
    return {key: value for key, value in told.items() if value}
