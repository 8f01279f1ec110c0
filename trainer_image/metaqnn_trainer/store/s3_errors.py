"""What the S3 client's errors mean: one line of evidence, whose turn it is, and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.store import s3_hints as hints
from metaqnn_trainer.store.errors import AddressError, Cause, ObjectMissing, StoreError

# By the store's own words, whatever the status: AWS, MinIO, Ceph and SeaweedFS agree neither on codes nor on statuses.
_REFUSED: Final = re.compile(r"Quota|TooLarge|TooLong|NotImplemented|AccessDenied|Invalid|Malformed|Unsupported")
_FULL: Final = re.compile(r"StorageFull|InsufficientStorage|DiskFull|NoSpace")
_NO_ROOM: Final = re.compile(
    r"no space left|(disk|storage) (is )?full|minimum free drive|no (free|writable|more) volumes?",
    re.IGNORECASE,
)
_LATER: Final = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout", "OperationAborted"}
    | {"ConditionalRequestConflict", "BadDigest", "IncompleteBody"}  # the last two: changed or cut on the way
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
_OURS: Final = frozenset({"PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObject"})
# Handshakes also fail because a server goes away; these would fail again.
_BAD_TLS: Final = re.compile(r"CERTIFICATE|CRL_FOUND|WRONG_VERSION|\[Errno|PEM|ALERT|UNSUPPORTED|HANDSHAKE_FAILURE")


class Where(NamedTuple):
    """What a client speaks to."""

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
        cut = "<?xml" in str(error) or "<ListBucketResult" in str(error)
        raise not_s3(where, key, "an answer that is cut off" if cut else "", cut) from error
    except BotoCoreError as error:
        cause = Cause.OUTAGE if isinstance(error, _OUTAGES) else Cause.REFUSED
        if isinstance(error, boto.SSLError) and _BAD_TLS.search(str(error)):
            cause = Cause.REFUSED
        hint = hints.unanswered(error, where.bucket)
        raise StoreError(f"{where.place(key)}: {one_line(str(error))}", hint, cause=cause) from error
    except AddressError:
        raise
    except ValueError as error:  # the client refuses the address of an endpoint in this way
        raise StoreError(f"{where.place(key)}: {one_line(str(error))}", hints.ENDPOINT) from error


def not_s3(where: Where, key: str, what: str = "", passing: bool = False) -> StoreError:
    """For an answer with status 200 that is none of S3's: a login page, a console, a proxy's own."""
    cause = Cause.OUTAGE if passing else Cause.REFUSED
    said = (
        f"{where.endpoint} answered HTTP 200 with {what or 'what is not S3: a page of a console, a login or a proxy'}"
    )
    hint = "" if passing else hints.NOT_S3 + hints.by_proxy(where.endpoint)
    return StoreError(f"{where.place(key)}: {said}", hint, cause=cause, status=200)


def _answered(where: Where, key: str, error: ClientError) -> StoreError:
    metadata = error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    headers = {name.lower(): value for name, value in metadata.get("HTTPHeaders", {}).items()}
    told = error.response.get("Error", {})
    # An answer without a body or with a page has no code: boto3 writes the status in its place.
    code = "" if (told.get("Code") or "") == str(status) else told.get("Code") or ""
    page = headers.get("content-type", "").startswith("text/html")
    asked_for_head = error.operation_name == "HeadObject"
    if code == "NoSuchKey" or (status == 404 and asked_for_head and not page):
        return ObjectMissing(f"{where.place(key)}: no such object", status=status, code=code)
    words = one_line(f"HTTP {status} {code}".rstrip() + f": {told.get('Message') or ''}").rstrip(": ")
    # Credentials may be fetched from elsewhere on the way.
    whom = where.endpoint if error.operation_name in _OURS else f"{error.operation_name}, for credentials,"
    answer = hints.Answer(status, code, headers, page, told)
    hint = hints.answered(answer, where.endpoint, where.bucket, where.style)
    cause = _cause(status, code, told.get("Message") or "")
    return StoreError(f"{where.place(key)}: {whom} answered {words}", hint, cause=cause, status=status, code=code)


def _cause(status: int, code: str, message: str) -> Cause:
    """Expired credentials are a refusal: what this process was given it keeps, and what can be renewed boto3 renews by
    itself, in time. A new process begins with new ones."""
    if status == 507 or _FULL.search(code) or _NO_ROOM.search(message):
        return Cause.FULL
    if code in _LATER or status in _LATER_STATUSES:
        return Cause.OUTAGE
    if status < 500 or status in _NEVER_STATUSES or _REFUSED.search(code):
        return Cause.REFUSED
    return Cause.OUTAGE
