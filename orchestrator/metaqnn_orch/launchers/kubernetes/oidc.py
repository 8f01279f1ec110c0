"""Gets an identity token from a kubeconfig's OIDC provider; an expired token is renewed, as kubectl does."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml

from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.kubernetes.kubeconfig import KubeconfigEntry
from metaqnn_orch.launchers.kubernetes.refusals import cause
from metaqnn_orch.launchers.kubernetes.transport import authority, environment_proxy, pools

TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=10.0)  # seconds, for each of the two requests
EARLY: Final = 10.0  # seconds before its end that a token counts as expired
MAX_BYTES: Final = 1 << 20  # bytes of an answer


def id_token(provider: KubeconfigEntry, timeout: urllib3.Timeout = TIMEOUT) -> tuple[str, float]:
    """The token, and the seconds for which it is valid.

    Raises:
        LauncherError: it has expired, and its issuer gives no other.
    """
    config = provider.inner("config")
    if config is None:
        raise provider.wrong("it has no config")
    token = config.text("id-token")
    if token and (left := _seconds_left(token)) > 0:
        return token, left
    issuer, refresh = config.text("idp-issuer-url"), config.text("refresh-token")
    again = "log in again, as for kubectl"
    if not issuer or not refresh:
        raise config.wrong("its id-token has expired, and there is no refresh-token to get another", again)
    where = f"its id-token has expired, and the issuer {one_line(issuer, 100)}"
    try:
        fresh = _refreshed(config, issuer, refresh, timeout)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise config.wrong(f"{where} does not answer: {cause(error)}", again) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise config.wrong(f"{where} gives no new one: {one_line(str(error), 150)}", again) from None
    with suppress(OSError, ValueError, KeyError, TypeError):  # a file that must not be written here
        _keep(provider, {"id-token": fresh["id_token"], "refresh-token": fresh.get("refresh_token") or refresh})
    return str(fresh["id_token"]).strip(), max(0.0, _seconds_left(str(fresh["id_token"])))


def _seconds_left(token: str) -> float:
    try:
        body = token.split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))).get("exp")
        return inf if expires is None else float(expires) - time.time() - EARLY
    except (ValueError, IndexError, TypeError, AttributeError):
        return inf  # the API will say whether it accepts it


def _refreshed(config: KubeconfigEntry, issuer: str, refresh: str, timeout: urllib3.Timeout) -> dict[str, Any]:
    once: dict[str, Any] = {"timeout": timeout, "preload_content": False}
    tls = authority(config, "idp-certificate-authority") if issuer.startswith("https") else None
    asked = pools(tls, environment_proxy(issuer))
    found = _json(asked.request("GET", issuer.rstrip("/") + "/.well-known/openid-configuration", **once))
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": refresh,
        "client_id": config.text("client-id"),
        "client_secret": config.text("client-secret"),
    }
    fields = {key: value for key, value in fields.items() if value}
    answer = _json(asked.request("POST", found["token_endpoint"], fields=fields, encode_multipart=False, **once))
    if not isinstance(answer.get("id_token"), str):
        raise ValueError("its answer has no id_token")
    return answer


def _json(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    body = answer.read(MAX_BYTES)
    found = None
    with suppress(ValueError):
        found = json.loads(body)
    if answer.status != 200 or not isinstance(found, dict):
        said = f"{found.get('error', '')} {found.get('error_description', '')}" if isinstance(found, dict) else ""
        raise ValueError(f"{answer.status} {said}".strip())
    return found


def _keep(provider: KubeconfigEntry, values: Mapping[str, str]) -> None:
    """Write the values back to the kubeconfig: an issuer may accept a refresh token only once."""
    file = provider.file.resolve()
    content = yaml.safe_load(file.read_bytes())
    for each in content["users"]:
        found = (each.get("user") or {}).get("auth-provider")
        if found == provider.values:
            found["config"] = {**found["config"], **values}
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "w") as written:
            yaml.safe_dump(content, written, sort_keys=False)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
