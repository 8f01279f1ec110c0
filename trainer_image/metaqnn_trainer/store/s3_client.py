"""Makes S3 clients. Every option that AWS has a name for is found by boto3's own chain: environment, ~/.aws, the
machine's or the Pod's role. METAQNN_S3_ADDRESSING_STYLE is this project's own variable, because AWS has none for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import boto3.session
import botocore.loaders
import botocore.session
from botocore.config import Config

from metaqnn_trainer.store.errors import AddressError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

STYLE_VARIABLE: Final = "METAQNN_S3_ADDRESSING_STYLE"
_STYLES: Final = ("auto", "path", "virtual")
_COMMON: Final[Mapping[str, Any]] = {
    "retries": {"mode": "standard", "total_max_attempts": 5},  # tries: about ten seconds in all
    "connect_timeout": 5,  # seconds
    "read_timeout": 60,  # seconds without a byte
    "max_pool_connections": 32,  # connections that are kept open; further threads open and close their own
    "tcp_keepalive": True,
}
_CHECKSUMS: Final = ("request_checksum_calculation", "response_checksum_validation")
_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class ClientOptions(NamedTuple):
    """Options of a client. Options that are not given are found by boto3's chain."""

    endpoint: str = ""
    region: str = ""
    style: str = "auto"
    """auto, path or virtual. auto is path for stores other than AWS."""
    checksums: str = "auto"
    """auto, when_required or when_supported. auto is when_required for stores other than AWS."""

    def resolved(self) -> ClientOptions:
        """The options in force where there is no AWS configuration: in a Pod."""
        elsewhere = bool(self.endpoint) and not is_aws(self.endpoint)
        style = "path" if elsewhere and self.style == "auto" else self.style
        checksums = "when_required" if elsewhere else "when_supported"
        return self._replace(style=style, checksums=checksums if self.checksums == "auto" else self.checksums)


def default_client() -> S3Client:
    """The client that the environment and the AWS configuration ask for.

    Raises:
        BotoCoreError, ValueError: what boto3's chain finds contradicts itself.
        AddressError: METAQNN_S3_ADDRESSING_STYLE is no style.
    """
    style = os.environ.get(STYLE_VARIABLE) or "auto"
    if style not in _STYLES:
        raise AddressError(f"{STYLE_VARIABLE} is {style[:40]!r}: it can be {', '.join(_STYLES)}")
    # AWS_REGION is the variable that every other AWS SDK reads.
    return make_client(ClientOptions(region=os.environ.get("AWS_REGION") or "", style=style))


def make_client(options: ClientOptions) -> S3Client:
    """A client with these options.

    Raises:
        BotoCoreError, ValueError: what boto3's chain finds contradicts itself.
    """
    session = _session()
    region = options.region or session.region_name or "us-east-1"  # the last is the default region of clones of S3

    def make(config: Config) -> S3Client:
        return session.client("s3", region_name=region, endpoint_url=options.endpoint or None, config=config)

    given: dict[str, Any] = {} if options.checksums == "auto" else dict.fromkeys(_CHECKSUMS, options.checksums)
    client = make(Config(**_COMMON, **given, **_styled(options.style)))
    if is_aws(client.meta.endpoint_url):
        return client
    # Stores other than AWS seldom have a DNS name for each bucket, and seldom support checksums in trailers; a user of
    # one that does says so in the environment or in the AWS configuration.
    profile = session._session.get_scoped_config()  # boto3 has no public method for it
    said = {name for name in _CHECKSUMS if name in profile or f"AWS_{name.upper()}" in os.environ}
    given = {name: "when_required" for name in _CHECKSUMS if name not in said} | given
    style = style_of(client)
    client.close()
    return make(Config(**_COMMON, **given, **_styled("path" if style == "auto" else style)))


def _session() -> boto3.session.Session:
    """A new session, with nothing of an earlier one but the models of services."""
    core = botocore.session.get_session()
    models = _models(core.get_config_variable("data_path"))
    core.register_component("data_loader", models)
    session = boto3.session.Session(botocore_session=core)
    models.search_paths[:] = dict.fromkeys(models.search_paths)  # boto3 adds its own folder for each session
    return session


@cache
def _models(data_path: str | None) -> Any:
    """The models of services, which the clients of a process share: reading them is nine tenths of making a client."""
    return botocore.loaders.create_loader(data_path)


def is_aws(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith(_AWS_DOMAINS)


def style_of(client: S3Client) -> str:
    """auto, path or virtual. (The type stubs do not know that a Config carries its options as attributes.)"""
    return str((getattr(client.meta.config, "s3", None) or {}).get("addressing_style") or "auto")


def keeps_checksums(client: S3Client) -> bool:
    """Whether the store accepts a checksum with an object, and returns it."""
    return getattr(client.meta.config, "request_checksum_calculation", "") == "when_supported"


def _styled(style: str) -> dict[str, Any]:
    """The option for this addressing style; none for auto, where the AWS configuration counts."""
    return {} if style == "auto" else {"s3": {"addressing_style": style}}
