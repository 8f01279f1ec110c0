"""Detects answers that do not come from S3: pages of consoles, logins and proxies, and redirects to another place.

boto3 misreads each of them: it takes a page for an empty listing, or for a server's error, and asks again; after a
redirect without a region it asks for the region, which the same redirect answers, without end. So such answers are
taken out before boto3 parses them.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_boto3_s3 import S3Client

REAL_STATUS: Final = "x-status-before-boto3"
"""Header with the original status: boto3 turns 200 into 500 where it cannot parse the body."""

REDIRECTS: Final = (301, 302, 303, 307, 308)
_HTML: Final = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_ELEMENT: Final = re.compile(rb"<(Code|Message|Endpoint|Region)>([^<]*)<")


def refuse_foreign_answers(client: S3Client) -> None:
    """Have the client raise a ClientError at once for such an answer, with the answer's own status."""
    # Two wildcards run before boto3's own handler of "before-parse.s3.*", however early that was registered.
    client.meta.events.register_first("before-parse.*.*", _look, unique_id="metaqnn-foreign-answers")


def is_page(headers: MutableMapping[str, str]) -> bool:
    """Whether an answer with these headers is a page for people."""
    return headers.get("content-type", "").startswith("text/html") and "etag" not in headers


def _look(operation_model: OperationModel, response_dict: MutableMapping[str, Any], **_: object) -> None:
    status, headers = response_dict["status_code"], response_dict["headers"]
    streamed = operation_model.has_streaming_output and status < 300
    body = b"" if streamed else response_dict["body"]
    lower = {name.lower(): value for name, value in headers.items()}
    if status < 300 and _HTML.match(body):
        lower["content-type"] = "text/html"
    elsewhere = status in REDIRECTS and "x-amz-bucket-region" not in lower
    if elsewhere or (status < 300 and is_page(lower)):
        if streamed:
            response_dict["body"].close()
        told = {name.decode(): text.decode(errors="replace") for name, text in _ELEMENT.findall(body)}
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": lower}
        raise ClientError({"Error": told, "ResponseMetadata": metadata}, operation_model.name)  # type: ignore[typeddict-item]
    headers[REAL_STATUS] = str(status)
