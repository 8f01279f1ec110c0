"""Turns a refusal by the API, or by a proxy on the way, into a ClusterError. Pure, but for the clock that a date is
compared with.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Final

from metaqnn_orch.errors import ClusterError, one_line

UNREACHABLE: Final = "is it reachable? Try `kubectl get jobs`, which asks the same server"
CREDENTIALS: Final = "the credentials are not accepted; `kubectl auth whoami` shows who you are"
_HINTS: Final = {
    401: CREDENTIALS,
    403: "metaqnn-orch doctor lists every permission that is needed",
    404: "does the namespace exist? execution.kubernetes.namespace chooses another",
}
MOST_SECONDS: Final = 60.0  # seconds that a Retry-After is obeyed at most
_ANYBODY: Final = "system:anonymous"
_QUOTA: Final = "`kubectl describe quota` shows what is exhausted; the search goes on when there is room"
_INVALID: Final = (
    "the server does not accept the Job; metaqnn-orch doctor checks it: is it execution.kubernetes.template?"
)
_POLICY: Final = re.compile(r"denied (the )?request")  # of an admission webhook, or a ValidatingAdmissionPolicy
_BY_POLICY: Final = (
    "a policy of the cluster refuses it, in the words above: change what it names in execution.kubernetes or in its "
    "template (chart: trainer), or ask whoever made the policy"
)
_BOUND: Final = re.compile(r"(?:maximum|minimum) ([\w./-]+) usage per")
_BOUNDED: Final = {
    "memory": "execution.kubernetes.memory (chart: trainer.memory)",
    "cpu": "execution.kubernetes.cpu (chart: trainer.cpu)",
}
_TERMINATED: Final = "because it is being terminated"
_LEAVING: Final = "the namespace is being deleted: results stay in the store, and the search goes on in another one"
_RULES: Final = "the namespace's rules refuse it; change execution.kubernetes or its template"


def refusal(error: Any, what: str) -> ClusterError:
    status, headers = error.status or 0, error.headers or {}
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    try:
        said = json.loads(body)
        message, reason = str(said.get("message") or ""), str(said.get("reason") or "")
    except (ValueError, AttributeError, RecursionError):  # a proxy's page, or an empty answer
        message, reason = body or str(error.reason or ""), ""
    text = f"{what}: {status} {one_line(message)}".rstrip()
    if status in (404, 409) and not reason:  # an answer of a proxy on the way, which does not know the API's objects
        status = 0
    hint, retry_after = _hint(status, reason, message), _seconds(headers.get("Retry-After"))
    return ClusterError(text, hint, status=status, reason=reason, retry_after=retry_after)


def not_recognised(error: Any) -> bool:
    """Whether the API did not know the caller: it refused the credentials, or took the caller for anonymous."""
    return error.status == 401 or (error.status == 403 and _ANYBODY in str(error.body))


def _seconds(retry_after: Any) -> float:
    """The seconds in a header Retry-After, at most a minute; the header has seconds, or a date."""
    with suppress(ValueError, TypeError):
        return min(max(float(retry_after), 0.0), MOST_SECONDS)
    with suppress(ValueError, TypeError, IndexError):
        return min(max(parsedate_to_datetime(str(retry_after)).timestamp() - time.time(), 0.0), MOST_SECONDS)
    return 0.0


def _hint(status: int, reason: str, message: str) -> str:
    if _TERMINATED in message:
        return _LEAVING
    if _ANYBODY in message:
        return CREDENTIALS
    if "exceeded quota" in message:
        return _QUOTA
    if status in (400, 403, 422) and (advice := advice_on(message)):
        return advice
    if status == 422:
        return _INVALID
    # Missing rights are reported as: User "ada" cannot create resource "jobs".
    return _RULES if reason == "Forbidden" and " cannot " not in message else _HINTS.get(status, "")


def is_gone(error: ClusterError) -> bool:
    """Whether the API refused a creation because the namespace is missing, or about to be; any other 404 is a
    proxy's. The account of a namespace is deleted with it, so that nothing more may be said of it.
    """
    return (error.status, error.reason) == (404, "NotFound") or (error.status == 403 and _TERMINATED in str(error))


def by_policy(message: str) -> bool:
    """Whether a policy of the cluster denies what was asked, in these words."""
    return _POLICY.search(message) is not None


def advice_on(message: str) -> str:
    """What to do about a rule of the cluster that refuses a Job or a Pod; empty where the words are not known."""
    if by_policy(message):
        return _BY_POLICY
    if bound := _BOUND.search(message):
        setting = _BOUNDED.get(bound[1], "execution.kubernetes.template")
        return f"a LimitRange of the namespace bounds it (`kubectl describe limitrange`): change {setting}"
    return ""


def cause(error: BaseException) -> str:
    """The innermost cause of the client's nested errors, without addresses of objects."""
    by_proxy = ""
    while isinstance(inner := getattr(error, "reason", getattr(error, "original_error", None)), BaseException):
        by_proxy = "the proxy does not serve: " if hasattr(error, "original_error") else by_proxy
        error = inner
    return by_proxy + one_line(str(error).rpartition(">: ")[2] or type(error).__name__)
