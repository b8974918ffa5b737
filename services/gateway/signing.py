"""Presigned URLs that hold their user to a length (AWS Signature Version 4, query string form).

The client library can presign, but not with headers; and a URL that takes any number of bytes is an open door.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

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
    secret = settings.s3_secret_key.get_secret_value()
    signature = hmac.new(_signing_key(secret, date, settings.s3_region), to_sign.encode(), hashlib.sha256)
    return f"{base_url}{path}?{canonical_query}&X-Amz-Signature={signature.hexdigest()}"


def _signing_key(secret: str, date: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
