"""Encode, sign and read tokens, as SimpleJWT's backend (RFC 7515, RFC 8725)."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jwt
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError

from api import claims, keys
from api.jose import encode

MAX_LENGTH = 8000  # characters; common proxies take header lines of 8 KiB, with the name
CACHE_SIZE = 1024  # verified tokens; about 2 MB

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
jws = jwt.PyJWS()
_encoder = json.JSONEncoder(separators=(",", ":"))


class Backend(TokenBackend):
    """SimpleJWT's backend, with the keys of `keys.py`.

    It looks the encoded header up among those of our keys and never parses it. So no token can
    choose its key or algorithm (RFC 8725 §3.1), and `jku`, `x5u`, `jwk`, `x5c` and `crit` have no
    effect.
    """

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token. `jwt.encode` would build the header anew, for 5 % CPU."""
        key = keys.signing_key()
        signed = f"{key.header}.{encode(_encoder.encode(payload).encode())}"
        return f"{signed}.{encode(key.implementation.sign(signed.encode(), key.signing))}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that we signed. Raises `TokenBackendError`."""
        key = keys.find(token.partition(".")[0]) if len(token) <= MAX_LENGTH else None
        if key is None:
            raise TokenBackendError("The token is too long or its key is unknown.")
        return dict(signed_claims(token, key))


@lru_cache(maxsize=CACHE_SIZE)
def signed_claims(token: str, key: keys.Key) -> Mapping[str, Any]:
    """Verify what cannot change about a token: its signature and the form of its claims.

    The result is cached per token and key. A forged token raises, so it is never cached. The
    callers check what can change: the key, expiry, revocation and the client.
    """
    if not _COMPACT.fullmatch(token):
        raise TokenBackendError("The token is malformed.")
    try:
        payload = json.loads(jws.decode(token, key.verifying, algorithms=[key.algorithm]))
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise TokenBackendError("The token's signature is not ours.") from error
    try:
        claims.check_form(payload)
    except claims.MalformedClaimsError as error:
        raise TokenBackendError(str(error)) from error
    return MappingProxyType(payload)


forget = signed_claims.cache_clear
backend = Backend("ES256")
