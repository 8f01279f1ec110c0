"""Turns the S3 client's errors into StoreError: one line of evidence, the cause, and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import responses
from typing import Final, NamedTuple

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.store import s3_hints as hints
from metaqnn_trainer.store.errors import NO_CREDENTIALS, AddressError, Cause, ObjectMissing, StoreError
from metaqnn_trainer.store.s3_foreign import REAL_STATUS, is_page

# Errors are told apart by the store's words, whatever the status: AWS, MinIO, Ceph and SeaweedFS agree on neither.
_REFUSED: Final = re.compile(r"Quota|TooLarge|TooLong|NotImplemented|AccessDenied|Invalid|Malformed|Unsupported")
_FULL: Final = re.compile(r"StorageFull|InsufficientStorage|DiskFull|NoSpace")
_NO_ROOM: Final = re.compile(
    r"no space left|(disk|storage) (is )?full|minimum free drive|no (free|writable|more) volumes?",
    re.IGNORECASE,
)
_LATER: Final = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout", "OperationAborted"}
    | {"ConditionalRequestConflict", "IDPCommunicationError"}
    | {"BadDigest", "IncompleteBody"}  # changed or cut off on the way
)
_LATER_STATUSES: Final = frozenset({408, 425, 429})
_NEVER_STATUSES: Final = frozenset({501, 505})
_OUTAGES: Final = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.FlexibleChecksumError,
    boto.MetadataRetrievalError,
    boto.CredentialRetrievalError,
)
_KEYLESS: Final = (boto.NoCredentialsError, boto.PartialCredentialsError)
_OURS: Final = frozenset({"PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObject"})
_OF_ONE: Final = frozenset({"GetObject", "HeadObject", "DeleteObject"})
# Handshakes also fail because a server goes away; these errors would come again.
_BAD_TLS: Final = re.compile(r"CERTIFICATE|CRL_FOUND|PEM|\[Errno|match|WRONG_VERSION|ALERT|UNSUPPORTED|HANDSHAKE_F")


class Where(NamedTuple):
    """The endpoint, bucket and options of a client."""

    uri: str
    endpoint: str = ""
    style: str = "auto"

    @property
    def bucket(self) -> str:
        return self.uri.split("/")[2]

    def place(self, key: str) -> str:
        return f"{self.uri}/{key}" if key else self.uri


@contextmanager
def renamed(where: Where, key: str) -> Iterator[None]:
    """Errors of the client become StoreError, or ObjectMissing."""
    try:
        yield
    except ClientError as error:
        raise _answered(where, key, error) from error
    except ResponseParserError as error:
        raise not_s3(where, key) from error
    except BotoCoreError as error:
        cause = Cause.OUTAGE if isinstance(error, _OUTAGES) else Cause.REFUSED
        if (isinstance(error, boto.SSLError) and _BAD_TLS.search(str(error))) or hints.UNSENDABLE in str(error):
            cause = Cause.REFUSED
        hint = hints.unanswered(error, where.bucket)
        code = NO_CREDENTIALS if isinstance(error, _KEYLESS) else ""
        raise StoreError(f"{where.place(key)}: {one_line(str(error))}", hint, cause=cause, code=code) from error
    except AddressError:
        raise
    except ValueError as error:  # the client rejects an endpoint's address with this exception
        raise StoreError(f"{where.place(key)}: {one_line(str(error))}", hints.ENDPOINT) from error


def not_s3(where: Where, key: str) -> StoreError:
    """The error for an answer with a status of success that does not come from S3."""
    said = f"{where.endpoint} answered HTTP 200, but not with S3: probably with a page of a console, a login or a proxy"
    return StoreError(f"{where.place(key)}: {said}", hints.NOT_S3 + hints.by_proxy(where.endpoint), status=200)


def _answered(where: Where, key: str, error: ClientError) -> StoreError:
    metadata = error.response.get("ResponseMetadata", {})
    headers = {name.lower(): value for name, value in metadata.get("HTTPHeaders", {}).items()}
    given = metadata.get("HTTPStatusCode", 0)
    status, page = int(headers.get(REAL_STATUS, given)), is_page(headers)
    told = error.response.get("Error", {})
    # For an answer without a body, or with an HTML page, boto3 uses the status as the code.
    code = "" if told.get("Code") in (None, str(given)) else str(told["Code"])
    message = told.get("Message") or responses.get(status, "")
    if status < 300 and page:
        return not_s3(where, key)
    if status < 300 and not code:
        message = "an answer that is cut off, or no XML"
    of_one = error.operation_name in _OF_ONE  # a listing has no key that could be missing
    if of_one and (code == "NoSuchKey" or (status == 404 and error.operation_name == "HeadObject" and not page)):
        return ObjectMissing(f"{where.place(key)}: no such object", status=status, code=code)
    words = one_line(f"HTTP {status} {code}".rstrip() + f": {message}").rstrip(": ")
    # Credentials may be fetched from another server on the way.
    whom = where.endpoint if error.operation_name in _OURS else f"{error.operation_name}, for credentials,"
    cause = _cause(given, code, message)
    answer = hints.StoreAnswer(status, code, headers, page, told)
    hint = hints.FULL if cause is Cause.FULL else hints.answered(answer, where.endpoint, where.bucket, where.style)
    return StoreError(f"{where.place(key)}: {whom} answered {words}", hint, cause=cause, status=status, code=code)


def _cause(status: int, code: str, message: str) -> Cause:
    """The cause of a refusal. Expired credentials count as a lasting refusal: this process keeps those that it was
    given, and boto3 renews in time those that can be renewed. A new process begins with new ones.
    """
    if status == 507 or _FULL.search(code) or _NO_ROOM.search(message):
        return Cause.FULL
    if code in _LATER or status in _LATER_STATUSES:
        return Cause.OUTAGE
    if status < 500 or status in _NEVER_STATUSES or _REFUSED.search(code):
        return Cause.REFUSED
    return Cause.OUTAGE
