"""What is signed for uploads beyond what the client library can sign: URLs and forms that hold their user to a size.

AWS Signature Version 4, in the query string and as a POST policy.  A URL that takes any number of bytes is an open
door.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import orjson

from services.common.settings import CommonSettings

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


def presign_put(
    settings: CommonSettings,
    key: str,
    base_url: str,
    expires_s: int,
    *,
    signed_headers: Mapping[str, str],
    moment: datetime | None = None,
) -> str:
    """A URL under `base_url` that writes `key`, good only together with exactly `signed_headers`."""
    moment = moment or datetime.now(UTC)
    date = moment.strftime("%Y%m%d")
    scope = f"{date}/{settings.s3_region}/s3/aws4_request"
    headers = {name.lower(): " ".join(value.split()) for name, value in signed_headers.items()}
    headers["host"] = urlsplit(base_url).netloc
    names = sorted(headers)
    query = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{settings.s3_access_key}/{scope}",
        "X-Amz-Date": moment.strftime("%Y%m%dT%H%M%SZ"),
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": ";".join(names),
    }
    canonical_query = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
    path = f"/{settings.s3_bucket}/{quote(key, safe='/-_.~')}"
    canonical = "\n".join(
        [
            "PUT",
            path,
            canonical_query,
            *(f"{name}:{headers[name]}" for name in names),
            "",
            query["X-Amz-SignedHeaders"],
            "UNSIGNED-PAYLOAD",
        ]
    )
    to_sign = "\n".join([_ALGORITHM, query["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return f"{base_url}{path}?{canonical_query}&X-Amz-Signature={_signature(settings, date, to_sign.encode())}"


def post_policy(
    settings: CommonSettings,
    key: str,
    content_type: str,
    max_size: int,
    expires_s: int,
    *,
    moment: datetime | None = None,
) -> dict[str, str]:
    """The fields of a form that uploads `key`: of that type, not empty, and at most `max_size` bytes."""
    moment = moment or datetime.now(UTC)
    date = moment.strftime("%Y%m%d")
    fields = {
        "key": key,
        "Content-Type": content_type,
        "x-amz-algorithm": _ALGORITHM,
        "x-amz-credential": f"{settings.s3_access_key}/{date}/{settings.s3_region}/s3/aws4_request",
        "x-amz-date": moment.strftime("%Y%m%dT%H%M%SZ"),
    }
    document = {
        "expiration": (moment + timedelta(seconds=expires_s)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "conditions": [
            {"bucket": settings.s3_bucket},
            ["content-length-range", 1, max_size],
            *({name: value} for name, value in fields.items()),
        ],
    }
    policy = b64encode(orjson.dumps(document))
    return {**fields, "policy": policy.decode(), "x-amz-signature": _signature(settings, date, policy)}


def _signature(settings: CommonSettings, date: str, to_sign: bytes) -> str:
    key = f"AWS4{settings.s3_secret_key.get_secret_value()}".encode()
    for part in (date, settings.s3_region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign, hashlib.sha256).hexdigest()
