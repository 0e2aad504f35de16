"""What an access token says (RFC 9068), and whether to believe one (RFC 8725)."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jwt
from django.conf import settings
from django.db.models import F
from rest_framework_simplejwt import tokens as simplejwt
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenBackendError, TokenError

from api import keys
from api.models import JTI_LENGTH, RevokedToken, TokenGeneration
from api.standing import ClientState, look_up_for_token

FINGERPRINT_CLAIM = "secret_fp"
MAX_LENGTH = 8 * 1024  # characters; ours have about 700, more with many scopes
LIFETIME = int(simplejwt.AccessToken.lifetime.total_seconds())
REMEMBERED = 1024  # verified tokens; about 2 MB

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_STRING_CLAIMS = ("sub", "client_id", "jti", "scope", FINGERPRINT_CLAIM)
_jws = jwt.PyJWS()
_encoder = json.JSONEncoder(separators=(",", ":"))


class Backend(TokenBackend):
    """SimpleJWT's backend, with the keys of `keys.py` and a header of our own.

    The header of every token we sign is one of a few known strings, so it is looked up and not
    parsed: the key, and with it the algorithm, are never the token's choice (RFC 8725 §3.1), and
    no `jku`, `x5u`, `jwk`, `x5c` or `crit` is ever read.
    """

    def encode(self, payload: dict[str, Any]) -> str:
        key = keys.signing_key()
        claims = _encoder.encode(payload).encode()
        signed = f"{key.header}.{keys.encode(claims)}"
        return f"{signed}.{keys.encode(key.implementation.sign(signed.encode(), key.signing))}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that we signed. Raises `TokenBackendError`."""
        form = _COMPACT.fullmatch(token) if len(token) <= MAX_LENGTH else None
        key = keys.find(form[1]) if form else None
        if key is None:
            raise TokenBackendError("The token is malformed or its key is unknown.")
        return dict(_signed_claims(token, key))


@lru_cache(maxsize=REMEMBERED)
def _signed_claims(token: str, key: keys.Key) -> Mapping[str, Any]:
    """Verify what never changes about a token: its signature, and its claims but for the time.

    Remembered for each token and key; what may change is asked anew by everyone who calls this:
    whether the key is still good, the token expired or revoked, the client active.
    """
    try:
        payload = _jws.decode(token, key.verifying, algorithms=[key.algorithm])
        claims = json.loads(payload, object_pairs_hook=_with_shared_names)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise TokenBackendError("The token's signature is not ours.") from error
    if not isinstance(claims, dict):
        raise TokenBackendError("The token's claims are not an object.")
    texts = [claims.get(name) for name in _STRING_CLAIMS]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise TokenBackendError("The token lacks a claim.")
    if not all(type(claims.get(name)) is int for name in ("exp", "iat")):  # a bool is no time
        raise TokenBackendError("The token lacks a time.")
    if claims["exp"] - claims["iat"] > AccessToken.lifetime.total_seconds():
        raise TokenBackendError("The token's times make no sense.")
    if claims.get("iss") != settings.PUBLIC_URL or claims.get("aud") != settings.JWT_AUDIENCE:
        raise TokenBackendError("The token is from, or for, somebody else.")
    if not claims["sub"] or claims["sub"] != claims["client_id"]:
        raise TokenBackendError("The token has no subject.")
    if not 0 < len(claims["jti"]) <= JTI_LENGTH:
        raise TokenBackendError("The token cannot be told from others.")
    return MappingProxyType(claims)


def _with_shared_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object whose members have the same names as others' in memory, and not equal ones."""
    return {sys.intern(name): value for name, value in pairs}


forget = _signed_claims.cache_clear
_backend = Backend("ES256")


class AccessToken(simplejwt.AccessToken):
    """SimpleJWT's access token with the header and the claims of RFC 9068.

    `AccessToken(text)` verifies all but the client's state; `verify(text)` below that too.
    """

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        """Make a new token, or read one. Raises `TokenError`.

        In place of SimpleJWT's own, which takes many steps to three claims, and sets one for the
        token's type even where it is told not to.
        """
        self.token = token
        self.current_time = datetime.now(UTC)
        if token is None:
            now = int(self.current_time.timestamp())
            self.payload = {"exp": now + LIFETIME, "iat": now, "jti": secrets.token_hex(16)}
            return
        try:
            self.payload = _backend.decode(token, verify)
        except TokenBackendError as error:
            raise TokenError("The token is not one of ours.") from error
        if verify:
            self.verify()

    def get_token_backend(self) -> Backend:
        return _backend

    def verify(self) -> None:
        """Check the times: SimpleJWT's own checks are done by the backend, once a token.

        A clock that is ahead of ours may have issued the token a moment from now.
        """
        now = self.current_time.timestamp()
        if self.payload["exp"] <= now:
            raise ExpiredTokenError("The token has expired.")
        if self.payload["iat"] > now + keys.LEEWAY.total_seconds():
            raise TokenError("The token is from the future.")


def issue(client: ClientState, scopes: tuple[str, ...], secret_hash: str) -> AccessToken:
    """Return a token for a client that has just authenticated with the secret of this hash."""
    token = AccessToken()
    token.payload |= {
        "iss": settings.PUBLIC_URL,
        "aud": settings.JWT_AUDIENCE,
        "sub": client.client_id,
        "client_id": client.client_id,
        "scope": " ".join(scopes),
        FINGERPRINT_CLAIM: _fingerprint(settings.SECRET_KEY, secret_hash, client.generation),
    }
    return token


def verify(text: str) -> AccessToken:
    """Return the token that a text is, if it is good at this moment. Raises `TokenError`.

    Costs one query, which answers whether the client is active, the secret that the token was
    obtained with still good, and the token not revoked.
    """
    token = AccessToken(text)
    client = look_up_for_token(token["sub"], jti=token["jti"])
    if client is None or not client.is_active:
        raise TokenError("The token has been revoked.")
    presented = token[FINGERPRINT_CLAIM].encode()
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(
        hmac.compare_digest(presented, _fingerprint(key, stored, client.generation).encode())
        for key in secret_keys
        for stored in client.secret_hashes
    ):
        raise TokenError("The token has been revoked.")
    return token


def public_claims(token: AccessToken) -> dict[str, Any]:
    """Return what a token says to those it is for; the fingerprint is for us alone."""
    return {name: value for name, value in token.payload.items() if name != FINGERPRINT_CLAIM}


def revoke(token: AccessToken) -> None:
    """End a token at the next request in every process (RFC 7009)."""
    expires_at = datetime.fromtimestamp(token["exp"], UTC)
    RevokedToken.objects.get_or_create(jti=token["jti"], defaults={"expires_at": expires_at})


def revoke_all(client_pk: int) -> None:
    """End all tokens that a client has; its secret goes on to obtain new ones."""
    created = TokenGeneration.objects.get_or_create(client_id=client_pk)[1]
    if not created:
        TokenGeneration.objects.filter(client_id=client_pk).update(number=F("number") + 1)


@lru_cache(maxsize=8)
def _fingerprint_key(secret_key: str) -> bytes:
    return keys.derive(secret_key, "secret fingerprints")


@lru_cache(maxsize=REMEMBERED)
def _fingerprint(secret_key: str, stored_hash: str, generation: int) -> str:
    """Return 96 bits, in base64url, that tell one stored hash and generation from the next.

    Keyed, so that whoever reads a token learns nothing of the hash.
    """
    message = f"{generation} {stored_hash}".encode()
    digest = hmac.digest(_fingerprint_key(secret_key), message, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:12]).decode()
