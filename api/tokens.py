"""What an access token says (RFC 9068), and whether to believe one (RFC 8725)."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jwt
from django.conf import settings
from django.db.models import F, QuerySet
from rest_framework_simplejwt import tokens as simplejwt
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.settings import api_settings

from api import audit, keys
from api.credentials import INTROSPECT, Login
from api.models import JTI_LENGTH, RevokedToken, TokenGeneration
from api.standing import look_up_for_token

FINGERPRINT_CLAIM = "secret_fp"
MAX_LENGTH = 8 * 1024  # characters; ours have about 700, more with many scopes
LIFETIME = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())  # seconds
SWEPT_AT_ONCE = 10  # expired rows that go with each revocation
REMEMBERED = 1024  # verified tokens; about 2 MB

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_jws = jwt.PyJWS()
_encoder = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is made from: who logged in, for which scopes, and when (Unix time)."""

    login: Login
    scopes: tuple[str, ...]
    issued_at: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim: what it says of a grant, and what that means to people."""

    value: Callable[[Grant], str | int]
    meaning: str


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


# To add a claim, add a line. Only those of REQUIRED are demanded of tokens that are out.
CLAIMS = {
    "iss": Claim(lambda _: settings.PUBLIC_URL, "Who issued it: this service."),
    "sub": Claim(lambda grant: grant.login.client_id, "Whom it speaks for: the client itself."),
    "client_id": Claim(lambda grant: grant.login.client_id, "Which client asked for it."),
    "aud": Claim(
        lambda _: settings.JWT_AUDIENCE,
        "Who it is for: a service that finds another name here must refuse it.",
    ),
    "scope": Claim(lambda grant: " ".join(grant.scopes), "What it allows."),
    "iat": Claim(lambda grant: grant.issued_at, "When it was issued."),
    "exp": Claim(
        lambda grant: grant.issued_at + LIFETIME,
        "When it expires; from that second on it is refused.",
    ),
    "jti": Claim(lambda _: secrets.token_hex(16), "Its own id, by which it can be revoked."),
    FINGERPRINT_CLAIM: Claim(
        lambda grant: _fingerprint(
            settings.SECRET_KEY, grant.login.secret_hash, grant.login.client.generation
        ),
        "Which secret it was obtained with: when that secret goes, so does the token.",
    ),
}
REQUIRED_TEXTS = ("sub", "client_id", "jti", "scope", FINGERPRINT_CLAIM)
REQUIRED_TIMES = ("iat", "exp")
REQUIRED = {"iss", "aud", *REQUIRED_TEXTS, *REQUIRED_TIMES}


class Backend(TokenBackend):
    """SimpleJWT's backend, with the keys of `keys.py` and a header of our own.

    The header of every token we sign is one of a few known strings, so it is looked up and not
    parsed: the key, and with it the algorithm, are never the token's choice (RFC 8725 §3.1), and
    no `jku`, `x5u`, `jwk`, `x5c` or `crit` is ever read.
    """

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token. `jwt.encode`, which parses and writes the header, costs 5 %."""
        key = keys.signing_key()
        claims = _encoder.encode(payload).encode()
        signed = f"{key.header}.{keys.encode(claims)}"
        return f"{signed}.{keys.encode(key.implementation.sign(signed.encode(), key.signing))}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that we signed. Raises `TokenBackendError`."""
        key = keys.find(token.partition(".")[0]) if len(token) <= MAX_LENGTH else None
        if key is None:
            raise TokenBackendError("The token is too long or its key is unknown.")
        return dict(_signed_claims(token, key))


@lru_cache(maxsize=REMEMBERED)
def _signed_claims(token: str, key: keys.Key) -> Mapping[str, Any]:
    """Verify what never changes about a token: its signature, and its claims but for the time.

    Remembered for each token and key; a forged token raises, and so is not. What may change is
    asked anew: whether the key is still good, the token expired or revoked, the client active.
    """
    if not _COMPACT.fullmatch(token):
        raise TokenBackendError("The token is malformed.")
    try:
        payload = _jws.decode(token, key.verifying, algorithms=[key.algorithm])
        claims = json.loads(payload)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise TokenBackendError("The token's signature is not ours.") from error
    if not isinstance(claims, dict):
        raise TokenBackendError("The token's claims are not an object.")
    texts = [claims.get(name) for name in REQUIRED_TEXTS]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise TokenBackendError("The token lacks a claim.")
    if not all(type(claims.get(name)) is int for name in REQUIRED_TIMES):  # a bool is no time
        raise TokenBackendError("The token lacks a time.")
    if not 0 <= claims["exp"] - claims["iat"] <= LIFETIME or not 0 <= claims["exp"] < 2**33:
        raise TokenBackendError("The token's times make no sense.")
    if claims.get("iss") != settings.PUBLIC_URL or claims.get("aud") != settings.JWT_AUDIENCE:
        raise TokenBackendError("The token is from, or for, somebody else.")
    if not claims["sub"] or claims["sub"] != claims["client_id"]:
        raise TokenBackendError("The token has no subject.")
    if not 0 < len(claims["jti"]) <= JTI_LENGTH:
        raise TokenBackendError("The token cannot be told from others.")
    return MappingProxyType(claims)


forget = _signed_claims.cache_clear
_backend = Backend("ES256")


class AccessToken(simplejwt.AccessToken):
    """SimpleJWT's access token, read by our backend."""

    def get_token_backend(self) -> Backend:
        return _backend

    def verify(self) -> None:
        """Refuse a token from the future too; the issuer's clock may be a little ahead of ours."""
        super().verify()
        latest = self.current_time + keys.LEEWAY
        if self.payload["iat"] > latest.timestamp():
            raise TokenError("The token is from the future.")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token, with what the answer says of it (RFC 6749 §5.1)."""

    text: str
    expires_in: int  # seconds
    scope: str


def issue(login: Login, scopes: tuple[str, ...]) -> IssuedToken:
    """Return a token for a client that has just logged in."""
    grant = Grant(login, scopes, issued_at=int(time.time()))
    claims = {name: claim.value(grant) for name, claim in CLAIMS.items()}
    token = IssuedToken(_backend.encode(claims), LIFETIME, " ".join(scopes))
    audit.record("token_issued", client=login.client_id, address=login.address, jti=claims["jti"])
    return token


def read(text: str) -> AccessToken:
    """Return the token that a text is, if we signed it for now and for us. Raises `TokenError`.

    What became of its client and of itself since is asked by `verify`.
    """
    return AccessToken(text)  # type: ignore[arg-type] # SimpleJWT takes text, and annotates a token


def verify(text: str) -> AccessToken:
    """Return the token that a text is, if it is good at this moment. Raises `TokenError`.

    Costs one query, which answers whether the client is active, the secret that the token was
    obtained with still good, and the token not revoked.
    """
    token = read(text)
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


def inspect(text: str, login: Login) -> dict[str, Any] | None:
    """Return what a token says, if it is good and the client may know (RFC 7662 §2.2).

    A client may look into its own tokens, and with scope `introspect` into anybody's.
    """
    try:
        token = verify(text)
    except TokenError:
        return None
    if token["sub"] != login.client_id and INTROSPECT not in login.scopes:
        return None
    return public_claims(token)


def public_claims(token: AccessToken) -> dict[str, Any]:
    """Return what a token says to those it is for; the fingerprint is for us alone."""
    return {name: value for name, value in token.payload.items() if name != FINGERPRINT_CLAIM}


def revoke(text: str, login: Login) -> None:
    """End a client's own token at the next request in every process (RFC 7009 §2.1).

    A token that is not good, or is somebody else's, is left alone.
    """
    try:
        token = read(text)
    except TokenError:
        return
    if token["sub"] != login.client_id:
        return
    expires_at = datetime.fromtimestamp(token["exp"], UTC)
    RevokedToken.objects.get_or_create(jti=token["jti"], defaults={"expires_at": expires_at})
    then = datetime.now(UTC) - keys.LEEWAY  # expired on every machine, also where a clock is behind
    RevokedToken.objects.delete_some_expired(then, SWEPT_AT_ONCE)
    audit.record("token_revoked", client=login.client_id, address=login.address, jti=token["jti"])


def revoke_all(clients: QuerySet[Any]) -> None:
    """End all tokens that clients have; their secrets go on to obtain new ones."""
    first = [TokenGeneration(client_id=pk, number=0) for pk in clients.values_list("pk", flat=True)]
    TokenGeneration.objects.bulk_create(first, batch_size=1000, ignore_conflicts=True)
    generations = TokenGeneration.objects.filter(client__in=clients.values("pk"))
    generations.update(number=F("number") + 1)
