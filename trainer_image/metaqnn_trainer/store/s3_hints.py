"""Hints about errors of an S3 store: what to do, for each case."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError
from botocore.utils import get_environ_proxies

from metaqnn_trainer.store.errors import UNKNOWN_KEYS
from metaqnn_trainer.store.s3_client import STYLE_VARIABLE, is_aws
from metaqnn_trainer.store.s3_foreign import REDIRECTS

CREDENTIALS: Final = (
    "boto3 finds no usable credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; Pods get "
    "theirs from execution.kubernetes.store_secret (chart: store.existingSecret)"
)
_UNKNOWN: Final = (
    "the store does not accept these credentials: are they for this endpoint? Do they end with a line break?"
)
_BROKEN: Final = "a key or the session token contains a line break or another character that cannot be sent: correct it"
_EXPIRED: Final = (
    "the credentials have expired: renew them (for single sign-on: aws sso login), then repeat the command"
)
_DENIED: Final = (
    "these credentials may not do that here; without the right to list the bucket (s3:ListBucket) a missing object "
    "is answered in the same way"
)
ENDPOINT: Final = (
    "does a server run there? The address comes from AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the AWS profile; in "
    "Pods from execution.kubernetes.store_endpoint (chart: store.endpoint)"
)
NOT_S3: Final = "the server there is not an S3 store: check AWS_ENDPOINT_URL_S3 (chart: store.endpoint)"
_PATH: Final = (
    "the bucket's name is sent in the host name, which this store may not support: set "
    f"{STYLE_VARIABLE}=path (chart: store.addressingStyle)"
)
_VIRTUAL: Final = (
    f"this store wants the bucket's name in the host name: set {STYLE_VARIABLE}=virtual (chart: store.addressingStyle)"
)
_CHECKSUMS: Final = (
    "it does not support the checksums that were sent: set AWS_REQUEST_CHECKSUM_CALCULATION=when_required (chart: "
    "store.checksums)"
)
_TOO_LARGE: Final = (
    "a proxy or ingress before the store limits the size of objects: raise this limit (for an nginx ingress the "
    "annotation nginx.ingress.kubernetes.io/proxy-body-size, for nginx itself client_max_body_size)"
)
_QUOTA: Final = "the bucket's or the user's quota is exhausted: raise it or delete something, then repeat the command"
FULL: Final = "the store is full: free some space there, then repeat the command"
_AUTHORITY: Final = (
    "if the store has its own certificate authority, set AWS_CA_BUNDLE to the file of that authority; for Pods set "
    "execution.kubernetes.store_ca (chart: store.caBundle)"
)
_BUNDLE: Final = "AWS_CA_BUNDLE (or the profile's ca_bundle) names no file with certificates: correct it"
_PLAIN: Final = "it does not speak TLS: begin the address with http://, in AWS_ENDPOINT_URL_S3 (chart: store.endpoint)"
_TLS: Final = (
    "perhaps it only supports TLS: should the address, AWS_ENDPOINT_URL_S3 (chart: store.endpoint), begin"
    " with https://?"
)
_FOLDER: Final = (
    "the address of the store, AWS_ENDPOINT_URL_S3 (chart: store.endpoint), must not contain a bucket or a folder"
)
_BUSY: Final = (
    "the store, or a proxy before it, cannot answer now: repeat the command later, or look at the store's log"
)
_CONDITIONS: Final = "this store does not support conditional writes (If-None-Match), which a run's journal needs"

UNSENDABLE: Final = "Invalid header value"  # the client's own errors, before it sends a request

_BY_CODE: Final = {
    **dict.fromkeys(UNKNOWN_KEYS, _UNKNOWN),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(("SecondLevelDomainForbidden", "PathStyleDomainForbidden", "InvalidPathAccess"), _VIRTUAL),
    **dict.fromkeys(("XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"), _CHECKSUMS),
    "EntityTooLarge": _TOO_LARGE,
    "NotImplemented": _CONDITIONS,
}
_REGIONAL: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
# The most specific class comes first.
_BY_CLASS: Final[tuple[tuple[type[BotoCoreError], str], ...]] = (
    (boto.NoCredentialsError, CREDENTIALS),
    (boto.PartialCredentialsError, CREDENTIALS),
    (boto.CredentialRetrievalError, CREDENTIALS),
    (boto.ProfileNotFound, "AWS_PROFILE names a profile that ~/.aws/config does not have"),
    (boto.InvalidRegionError, "AWS_REGION, or the profile's region, is no name of one, as eu-west-1 is: correct it"),
    (boto.ConfigParseError, "correct the AWS configuration file"),
    (boto.SSOError, _EXPIRED),
    (boto.TokenRetrievalError, _EXPIRED),
    (boto.LoginError, _EXPIRED),
    (boto.ProxyConnectionError, "the proxy does not answer: check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"),
    (boto.EndpointConnectionError, ENDPOINT),
    (boto.EndpointProviderError, ENDPOINT),
    (boto.ConnectTimeoutError, ENDPOINT),
)


class StoreAnswer(NamedTuple):
    """An answer with a status of failure."""

    status: int
    code: str
    headers: Mapping[str, str]
    """Headers, by names in small letters."""
    page: bool
    """Whether it is a page for people, which no S3 writes."""
    told: Mapping[str, Any]
    """The elements of its body."""


def answered(answer: StoreAnswer, endpoint: str, bucket: str, style: str) -> str:
    """The hint for an answer."""
    status, code = answer.status, answer.code
    named = style == "virtual" and not is_aws(endpoint)
    if code == "NoSuchKey" and urlsplit(endpoint).path.strip("/"):  # the endpoint's path names the bucket a second time
        return _FOLDER
    if code == "NoSuchBucket":
        create = f"create the bucket: aws s3 mb s3://{bucket}"
        return f"{create}; or, if it is there, {_PATH}" if named else create
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code in ("RequestTimeTooSkewed", "RequestExpired"):
        return _clock(answer.headers.get("date", ""))
    if "Quota" in code:
        return _QUOTA
    if status in REDIRECTS or code in _REGIONAL:
        return _elsewhere(answer, endpoint)
    if status == 413:
        return _TOO_LARGE
    if status == 407:
        return "the proxy wants credentials: check HTTPS_PROXY and HTTP_PROXY" + by_proxy(endpoint)
    if answer.page and status < 500:
        return (_PATH if named and status == 404 else NOT_S3) + by_proxy(endpoint)
    if status == 400 and not code:
        return _TLS if endpoint.startswith("http:") else NOT_S3
    if status == 403:
        return _DENIED
    if status in (404, 405):
        return _PATH if named else NOT_S3
    return _BUSY if status >= 500 or status == 429 else ""


def unanswered(error: BotoCoreError, bucket: str) -> str:
    """The hint for a client that got no answer, or sent no request."""
    text = str(error)
    asked = urlsplit(str(error.kwargs.get("endpoint_url", "")))
    named = (asked.hostname or "").startswith(f"{bucket}.") and not is_aws(asked.geturl())
    if UNSENDABLE in text:
        return _BROKEN
    if isinstance(error, boto.SSLError):
        if "[Errno" in text or "CRL_FOUND" in text or "PEM" in text:
            return _BUNDLE
        if "WRONG_VERSION" in text:
            return _PLAIN
        if "match" in text:  # the host's name, or its IP address, does not match
            return (
                _PATH
                if named
                else ("its certificate is for another name: use an address of the store that is in the certificate")
            )
        if "expired" in text:
            return "its certificate has expired: the store's administrator must renew it"
        return _AUTHORITY if "CERTIFICATE" in text else ENDPOINT
    if named and isinstance(error, boto.EndpointConnectionError):
        return _PATH
    if isinstance(error, boto.ConnectionClosedError) and asked.scheme == "http":
        return f"if this always happens, {_TLS}" + by_proxy(asked.geturl())
    return next((hint for kind, hint in _BY_CLASS if isinstance(error, kind)), "")


def by_proxy(endpoint: str) -> str:
    """A further sentence where a proxy is used."""
    proxy = get_environ_proxies(endpoint).get(urlsplit(endpoint).scheme, "")
    host = urlsplit(proxy if "//" in proxy else f"//{proxy}").hostname if proxy else ""
    return f"; requests go through the proxy {host}: name hosts that need no proxy in NO_PROXY" if host else ""


def _clock(date: str) -> str:
    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return "this machine's clock is wrong: set it with a time server"
    apart = f"{abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'}"
    return f"this machine's clock is {apart} the store's: set it with a time server"


def _elsewhere(answer: StoreAnswer, endpoint: str) -> str:
    region = answer.headers.get("x-amz-bucket-region") or answer.told.get("Region") or ""
    if region:
        return f"the bucket lies in another region: AWS_REGION={region} (chart: store.region)"
    here, location = urlsplit(endpoint), answer.headers.get("location") or ""
    there = urlsplit(location)
    address = f"AWS_ENDPOINT_URL_S3={there.scheme}://{there.netloc.rpartition('@')[2]} (chart: store.endpoint)"
    if there.hostname and there.hostname == here.hostname and (here.scheme, there.scheme) == ("http", "https"):
        return f"it only supports TLS: set {address}"
    if there.hostname:
        return f"it redirects to {there.hostname}: if that is the store, set {address}; if not, {NOT_S3}"
    if location:  # a page of its own, such as a login page
        return NOT_S3
    if other := answer.told.get("Endpoint"):
        return f"the bucket is served at {other}: set AWS_ENDPOINT_URL_S3, or AWS_REGION, to match"
    return "the bucket lies in another region, or at another address: set AWS_REGION (chart: store.region)"
