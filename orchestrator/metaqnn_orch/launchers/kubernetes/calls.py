"""Makes one call of the Kubernetes API: its time-out, its credentials, and its failure as a ClusterError.

Every call is made once, except that credentials are loaded again when the API no longer accepts them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import urllib3
from kubernetes import client as api

from metaqnn_orch.errors import ClusterError, LauncherError, one_line
from metaqnn_orch.launchers.kubernetes.credentials import Connection, Credentials, server
from metaqnn_orch.launchers.kubernetes.refusals import UNREACHABLE, cause, not_recognised, refusal

QUIET: Final = 0.25  # share of the time limit of a call, after which a person is told that there is no answer yet


class Calls:
    """Calls about one namespace of a cluster. Safe to use from many threads."""

    def __init__(
        self,
        connect: Callable[[str | None], Connection],
        namespace: str | None,
        timeout: tuple[float, float],
        context: str | None,
    ) -> None:
        """Arguments and errors are those of Cluster."""
        self._credentials = Credentials(connect, context)
        self.timeout = timeout
        self.namespace = namespace or self._credentials.connection.namespace
        self.server = server(self._credentials.connection)
        self.disowned = False
        """Whether the account of this Pod was deleted, as Cluster.disowned says."""
        self._asked: float | None = None  # when the first of the calls began that nothing was answered to since

    def close(self) -> None:
        """Close the connections that are not in use; calls under way go on to their end."""
        self._credentials.connection.client.rest_client.pool_manager.clear()

    @property
    def silence(self) -> str:
        """Words for an API that takes calls and says nothing, long before they reach their time limit; empty while it
        answers, and while nothing is asked.
        """
        asked = self._asked
        seconds = time.monotonic() - asked if asked is not None else 0.0
        return f"no answer from {self._where}" if seconds > QUIET * self.timeout[1] else ""

    def ask(self, group: Any, method: str, *arguments: Any, **options: Any) -> bytes:
        """The body of the answer to a successful call."""
        return bytes(self.open(group, method, *arguments, **options).data)

    def open(self, group: Any, method: str, *arguments: Any, **options: Any) -> Any:
        """The answer to a successful call; its body is not read yet."""
        options = {"_preload_content": False, "_request_timeout": self.timeout, **options}

        def call(connection: Connection) -> Any:
            try:
                with self._listening():
                    return getattr(group(connection.client), method)(*arguments, **options)
            # the client fails where it decodes bodies that are no JSON, or no text
            except (AttributeError, UnicodeDecodeError) as error:
                met = error.__context__
                if not isinstance(met, api.ApiException):
                    raise
            raise met

        connection = self._credentials.current()
        try:
            return call(connection)
        except api.ApiException as error:
            if not not_recognised(error):
                raise
        connection = self._credentials.renewed(connection)
        try:
            answer = call(connection)
        except api.ApiException as error:
            self.disowned = not_recognised(error) and connection.inside
            raise
        self.disowned = False
        return answer

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """A block that asks one thing; a refusal is an answer, too."""
        if self._asked is None:
            self._asked = time.monotonic()
        try:
            yield
        except api.ApiException as error:
            if error.status:
                self._asked = None
            raise
        self._asked = None

    @contextmanager
    def named(self, call: str) -> Iterator[None]:
        """Turn every exception of the call into a ClusterError that names the call: an unknown exception would end a
        thread.
        """
        try:
            yield
        except LauncherError as error:  # the credentials
            raise ClusterError(str(error), error.hint) from None
        except api.ApiException as error:
            if error.status:
                raise refusal(error, f"{self._where}, refused to {call}") from None
            raise self._unanswered(f"{self._where}, did not answer ({call})", error.__context__ or error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unanswered(f"{self._where}, did not answer ({call})", error) from None
        except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8
            raise ClusterError(
                f"{self._where}, gave an invalid answer ({call}): {one_line(str(error))}", UNREACHABLE
            ) from None
        except Exception as error:
            words = f"{type(error).__name__}: {one_line(str(error))}"
            raise ClusterError(f"{self._where}, could not be reached ({call}): {words}", UNREACHABLE) from None

    @property
    def _where(self) -> str:
        """The server and the namespace in words, for errors."""
        return f"the Kubernetes API at {self.server}, namespace {self.namespace}"

    def _unanswered(self, what: str, error: BaseException) -> ClusterError:
        reason = cause(error)
        untrusted = "CERTIFICATE_VERIFY_FAILED" in reason
        hint = self._credentials.connection.trusted if untrusted else ""
        return ClusterError(f"{what}: {reason}", hint or UNREACHABLE)
