"""What the S3 client's errors mean: one line of cause, a hint, and whether the same call may succeed later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.store.errors import Cause, ObjectMissing, StoreError

_CREDENTIALS: Final = (
    "boto3 finds no usable credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
)
_UNKNOWN: Final = "the store does not accept these credentials: are they meant for this endpoint?"
_EXPIRED: Final = "the credentials have expired: renew them (for single sign-on: aws sso login)"
_REGION: Final = "the bucket lies in another region: set AWS_DEFAULT_REGION"
_DENIED: Final = (
    "these credentials may not do that here; without the right to list the bucket (s3:ListBucket) a missing object "
    "is answered in the same way"
)
_ENDPOINT: Final = (
    "does a server answer there? The address comes from AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the AWS profile"
)
_NOT_S3: Final = "what answers there does not speak S3: check AWS_ENDPOINT_URL_S3"

_BY_CODE: Final = {
    "InvalidAccessKeyId": _UNKNOWN,
    "SignatureDoesNotMatch": _UNKNOWN,
    "InvalidToken": _UNKNOWN,
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it by a time server",
    "RequestExpired": "this machine's clock is wrong: set it by a time server",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NotImplemented": "this store does not create objects only if absent (If-None-Match), which a run's journal needs",
}
_BY_STATUS: Final = {301: _REGION, 403: _DENIED, 404: _NOT_S3, 405: _NOT_S3}
# The most specific class comes first.
_BY_CLASS: Final[tuple[tuple[type[BotoCoreError], str], ...]] = (
    (boto.NoCredentialsError, _CREDENTIALS),
    (boto.PartialCredentialsError, _CREDENTIALS),
    (boto.CredentialRetrievalError, _CREDENTIALS),
    (boto.ProfileNotFound, "AWS_PROFILE names a profile that ~/.aws/config does not have"),
    (boto.ConfigParseError, "correct the AWS configuration file"),
    (boto.SSOError, _EXPIRED),
    (boto.TokenRetrievalError, _EXPIRED),
    (boto.LoginError, _EXPIRED),
    (boto.SSLError, "if the store has a certificate of its own authority, set AWS_CA_BUNDLE to that authority's file"),
    (boto.ProxyConnectionError, "the proxy does not answer: check HTTPS_PROXY and NO_PROXY"),
    (boto.EndpointConnectionError, _ENDPOINT),
    (boto.EndpointProviderError, _ENDPOINT),
    (boto.ConnectTimeoutError, _ENDPOINT),
)
_TRANSIENT_CODES: Final = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout", "OperationAborted"}
    | {"ConditionalRequestConflict", "BadDigest"}
)
_TRANSIENT_CLASSES: Final = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.FlexibleChecksumError,
    boto.MetadataRetrievalError,
    boto.CredentialRetrievalError,
)


@contextmanager
def renamed(uri: str, key: str) -> Iterator[None]:
    """Errors of the client become StoreError, or ObjectMissing; `uri` and `key` say where."""
    place = f"{uri}/{key}" if key else uri
    try:
        yield
    except ClientError as error:
        raise _answer(uri, place, error) from error
    except BotoCoreError as error:
        hint = next((hint for kind, hint in _BY_CLASS if isinstance(error, kind)), "")
        transient = isinstance(error, _TRANSIENT_CLASSES) and "CERTIFICATE_VERIFY_FAILED" not in str(error)
        cause = Cause.OUTAGE if transient else Cause.REFUSED
        raise StoreError(f"{place}: {one_line(str(error))}", hint, cause=cause) from error
    except ValueError as error:  # the client refuses the address of an endpoint in this way
        raise StoreError(f"{place}: {one_line(str(error))}", _ENDPOINT) from error


def _answer(uri: str, place: str, error: ClientError) -> StoreError:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code", "")
    said = one_line(f"{code or status}: {error.response.get('Error', {}).get('Message', '')}").removesuffix(":")
    if code == "NoSuchBucket":
        bucket = "/".join(uri.split("/")[:3])
        return StoreError(f"{place}: {said}", f"create the bucket: aws s3 mb {bucket}", status=status, code=code)
    # The answer to HEAD has no body, and with it no code: boto3 writes the status in its place.
    if code == "NoSuchKey" or (code == "404" and error.operation_name == "HeadObject"):
        return ObjectMissing(f"{place}: no such object", status=status, code=code)
    transient = code in _TRANSIENT_CODES or status == 429 or (status >= 500 and status != 501)
    hint = _BY_CODE.get(code) or _BY_STATUS.get(status, "")
    cause = Cause.OUTAGE if transient else Cause.REFUSED
    return StoreError(f"{place}: {said}", hint, cause=cause, status=status, code=code)
