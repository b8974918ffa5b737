"""Who asks: nobody in particular, the holder of an API key, or the subject of a JWT."""

import asyncio
import hashlib
import hmac
import re
import secrets
from abc import ABC, abstractmethod
from collections import OrderedDict
from time import monotonic
from typing import Any, Final

import jwt
import orjson
from aiohttp import web

from services.common.jobs import DEFAULT_TENANT
from services.common.web import Problem
from services.gateway.settings import GatewaySettings
from services.gateway.store.reads import api_key
from services.gateway.store.store import Store

TENANT: Final = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_KEY: Final = re.compile(r"^vk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$")
_KNOWN_FOR_S: Final = 3.0
_MAX_KNOWN: Final = 1000


def new_key() -> tuple[str, str, str]:
    """A new API key: its id, the hash to keep, and the key itself, which is told once."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return key_id, hash_secret(secret), f"vk_{key_id}_{secret}"


def hash_secret(secret: str) -> str:
    """What is kept of a key's secret.  It is 256 random bits, so a plain hash gives nothing to guess at."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class Authenticator(ABC):
    """Says for which tenant a request speaks."""

    @abstractmethod
    async def tenant(self, request: web.Request) -> str:
        """The tenant; Problem 401 or 403 where it is none."""


class Anonymous(Authenticator):
    """Everybody is the one tenant there is."""

    async def tenant(self, request: web.Request) -> str:  # noqa: ARG002
        return DEFAULT_TENANT


class ApiKeys(Authenticator):
    """Keys made by `python -m services.gateway.keys`, remembered for seconds so that revoking them works soon."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, tuple[float, str, str]] = OrderedDict()

    async def tenant(self, request: web.Request) -> str:
        match = _KEY.match(_bearer(request) or request.headers.get("X-API-Key") or "")
        if match is None:
            raise _unauthorized("Send an API key, as Authorization: Bearer … or X-API-Key.")
        known = self._known.get(match[1])
        if known is None or monotonic() - known[0] > _KNOWN_FOR_S:
            known = await self._look_up(match[1])
        if known is None or not hmac.compare_digest(known[2], hash_secret(match[2])):
            raise _unauthorized("This API key is not known, or has been revoked.")
        return known[1]

    async def _look_up(self, key_id: str) -> tuple[float, str, str] | None:
        row = await self._store.read(api_key, key_id)
        if row is None or row["revoked_at"] is not None:
            self._known.pop(key_id, None)
            return None
        known = self._known[key_id] = (monotonic(), row["tenant"], row["secret_hash"])
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return known


class Tokens(Authenticator):
    """JWTs of somebody else's making: HS256 with a shared secret, or the public keys in a JWKS file."""

    def __init__(self, settings: GatewaySettings, jwks: bytes | None) -> None:
        self._settings = settings
        self._keys = jwt.PyJWKSet.from_dict(orjson.loads(jwks)) if jwks is not None else None

    async def tenant(self, request: web.Request) -> str:
        token = _bearer(request)
        if token is None:
            raise _unauthorized("Send a token, as Authorization: Bearer …")
        try:
            claims = self._claims(token)
        except jwt.PyJWTError as error:
            raise _unauthorized(f"This token is not accepted ({type(error).__name__}).") from None
        tenant = claims.get(self._settings.jwt_tenant_claim) or claims.get("sub")
        if not isinstance(tenant, str) or not TENANT.match(tenant):
            raise Problem(403, "This token names no tenant that could be used here.")
        return tenant

    def _signer(self, token: str) -> jwt.PyJWK:
        """The public key that the token names; where it names none there must be only one."""
        assert self._keys is not None
        kid = jwt.get_unverified_header(token).get("kid")
        fitting = [key for key in self._keys.keys if kid is None or key.key_id == kid]
        if len(fitting) != 1:
            raise jwt.InvalidKeyError("no such key")
        return fitting[0]

    def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        key: Any
        if self._keys is None:
            assert settings.jwt_secret is not None
            key, algorithms = settings.jwt_secret.get_secret_value(), ["HS256"]
        else:
            signer = self._signer(token)
            key, algorithms = signer.key, [signer.algorithm_name]
        required = ["exp"] + ["aud"] * bool(settings.jwt_audience) + ["iss"] * bool(settings.jwt_issuer)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            options={"require": required, "verify_aud": settings.jwt_audience is not None},
        )
        return claims


async def authenticator(settings: GatewaySettings, store: Store) -> Authenticator:
    """What `AUTH` asks for."""
    if settings.auth == "none":
        return Anonymous()
    if settings.auth == "api_key":
        return ApiKeys(store)
    path = settings.jwt_jwks_file
    return Tokens(settings, await asyncio.to_thread(path.read_bytes) if path else None)
