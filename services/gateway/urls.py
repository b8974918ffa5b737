"""Under what name the outside reaches the object store."""

import re
from typing import Final

from aiohttp import web

from services.gateway.settings import GatewaySettings

_HOST: Final = re.compile(r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$")


def store_base(request: web.Request, settings: GatewaySettings) -> str:
    """`scheme://host[:port]` that presigned URLs in the answer to `request` are to carry.

    The front door passes the store on under its own name, so where it says by which name the page was reached,
    that name is the store's too.
    """
    if settings.forwarded_trusted:
        host = request.headers.get("X-Forwarded-Host", "")
        if _HOST.match(host):
            secure = request.headers.get("X-Forwarded-Proto") == "https"
            return f"{'https' if secure else 'http'}://{host}"
    return settings.public_store
