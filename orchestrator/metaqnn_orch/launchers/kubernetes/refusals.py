"""What the API, or the way to it, answered instead of doing what was asked, as an error of ours. Pure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

from metaqnn_orch.errors import ClusterError, one_line

UNREACHABLE: Final = "is it reachable? `kubectl get jobs` asks the same server"
_HINTS: Final = {
    401: "the credentials are not accepted; `kubectl auth whoami` shows who you are",
    403: "metaqnn-orch doctor lists every right that is needed",
    404: "does the namespace exist? execution.kubernetes.namespace chooses another",
}
_QUOTA: Final = "`kubectl describe quota` shows what is used up; it goes on when there is room"
_RULES: Final = "the namespace's rules refuse it: execution.kubernetes and its template say what is asked for"


def refusal(error: Any, what: str) -> ClusterError:
    status, headers = error.status or 0, error.headers or {}
    try:
        said = json.loads(error.body or "")
        message, reason = str(said.get("message") or ""), str(said.get("reason") or "")
    except (ValueError, AttributeError):  # a proxy's page, or nothing
        message, reason = str(error.body or error.reason or ""), ""
    retry_after = 0.0
    with suppress(ValueError, TypeError):
        retry_after = min(max(float(headers.get("Retry-After") or 0), 0.0), 60.0)
    text = f"{what}: {status} {one_line(message)}".rstrip()
    return ClusterError(text, _hint(status, reason, message), status=status, reason=reason, retry_after=retry_after)


def _hint(status: int, reason: str, message: str) -> str:
    if "exceeded quota" in message:
        return _QUOTA
    # Missing rights are told as: User "ada" cannot create resource "jobs".
    return _RULES if reason == "Forbidden" and " cannot " not in message else _HINTS.get(status, "")


def cause(error: BaseException) -> str:
    """What is at the bottom of the client's wrapped errors, without addresses of objects."""
    inner = getattr(error, "reason", None)
    while isinstance(inner, BaseException):
        error, inner = inner, getattr(inner, "reason", None)
    return one_line(str(error).rpartition(">: ")[2] or type(error).__name__)
