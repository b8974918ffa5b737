"""Tickets for the push channel: short-lived, signed by the gateway, checked by any notifier without asking it."""

from datetime import UTC, datetime, timedelta

import jwt

_ALGORITHM = "HS256"
_AUDIENCE = "push"


class InvalidTicketError(Exception):
    """The ticket is forged, expired, or was made for something else."""


def issue(secret: str, tenant: str, ttl_s: float) -> tuple[str, datetime]:
    """A ticket that lets its bearer watch the jobs of `tenant` for `ttl_s` seconds, and when it expires."""
    expires_at = datetime.now(UTC) + timedelta(seconds=ttl_s)
    claims = {"sub": tenant, "aud": _AUDIENCE, "exp": expires_at}
    return jwt.encode(claims, secret, algorithm=_ALGORITHM), expires_at


def verify(secret: str, ticket: str) -> str:
    """The tenant that `ticket` speaks for.

    Raises:
        InvalidTicketError: it is not one of ours, or no longer good.
    """
    try:
        claims = jwt.decode(
            ticket,
            secret,
            algorithms=[_ALGORITHM],
            audience=_AUDIENCE,
            options={"require": ["exp", "sub", "aud"]},
        )
    except jwt.InvalidTokenError as error:
        raise InvalidTicketError(type(error).__name__) from None
    return str(claims["sub"])
