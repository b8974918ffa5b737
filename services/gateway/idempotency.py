"""Requests that may be sent twice and are done once."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import orjson
from pydantic import BaseModel

from services.common.jobs import now, timestamp
from services.common.web import Problem
from services.gateway.context import Call
from services.gateway.store.creation import Key

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"^[\x20-\x7e]{1,255}$")


def fingerprint(model: BaseModel) -> str:
    """Stands for what is asked: equal for requests that differ only in how they are written."""
    document = orjson.dumps(model.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(document).hexdigest()


@contextmanager
def remembered(call: Call, model: BaseModel) -> Iterator[Key | None]:
    """The request's key, if it has one, kept from being used a second time while the block lasts.

    Raises:
        Problem: 400 for a key that can't be one, 409 while the same one is being worked on.
    """
    given = call.request.headers.get(HEADER)
    if given is None:
        yield None
        return
    if not _KEY.match(given):
        raise Problem(400, "Idempotency-Key must be 1 to 255 printable ASCII characters.")
    expired = timestamp(now() - timedelta(seconds=call.gateway.settings.idempotency_ttl))
    about = (call.tenant, given)
    in_flight = call.gateway.in_flight
    if about in in_flight:
        raise Problem(409, "A request with this Idempotency-Key is being worked on.", headers={"Retry-After": "1"})
    in_flight.add(about)
    try:
        yield Key(call.tenant, given, fingerprint(model), expired)
    finally:
        in_flight.discard(about)
