"""Issue, verify, introspect and revoke access tokens (RFC 9068, RFC 8725)."""

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
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenBackendError, TokenError
from rest_framework_simplejwt.settings import api_settings

from api import audit, keys, metrics
from api.credentials import Login
from api.jose import encode
from api.models import JTI_LENGTH, RevokedToken, TokenGeneration
from api.scopes import INTROSPECT
from api.standing import ClientState, GrantedResource, look_up_for_token

FINGERPRINT_CLAIM = "secret_fp"
MAX_LENGTH = 8000  # characters; common proxies take header lines of 8 KiB, with the name
LIFETIME = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())  # seconds
DELETED_AT_ONCE = 10  # expired rows that each revocation deletes
CACHE_SIZE = 1024  # verified tokens; about 2 MB

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_jws = jwt.PyJWS()
_encoder = json.JSONEncoder(separators=(",", ":"))


class OtherAudienceError(TokenError):
    """The token is good, but for another service."""


class NotOwnTokenError(Exception):
    """The client asked to revoke a token of another client."""


class TokenTooLongError(Exception):
    """The token would be longer than we accept, because it names too many scopes."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The input of each claim: who logged in, for what, and when (Unix time).

    Without a resource, the token is for this service.
    """

    login: Login
    scopes: tuple[str, ...]
    issued_at: int
    resource: GrantedResource | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim: how to compute its value, and what it means, for people."""

    value: Callable[[Grant], str | int]
    meaning: str


@lru_cache(maxsize=8)
def _fingerprint_key(secret_key: str) -> bytes:
    return keys.derive(secret_key, "secret fingerprints")


@lru_cache(maxsize=CACHE_SIZE)
def _fingerprint(secret_key: str, bound_to: str, generation: int, grant_id: int) -> str:
    """Return 96 bits, in base64url, that identify a credential, a generation and a grant.

    `bound_to` is the stored hash of a secret, or the name of another credential.

    They are keyed, so a reader of the token learns nothing about the hash. The grant is 0 in
    tokens for this service.
    """
    message = f"{generation} {bound_to}" + (f" {grant_id}" if grant_id else "")
    digest = hmac.digest(_fingerprint_key(secret_key), message.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:12]).decode()


def _name_credential(grant: Grant) -> str:
    """Return the fingerprint of the secret, or a name such as `key:17.` and its fingerprint."""
    login, grant_id = grant.login, grant.resource.grant_id if grant.resource else 0
    bound_to = login.secret_hash or login.credential
    fingerprint = _fingerprint(settings.SECRET_KEY, bound_to, login.client.generation, grant_id)
    return fingerprint if login.secret_hash else f"{login.credential}.{fingerprint}"


def _expiry(grant: Grant) -> int:
    """No token outlives what it was obtained with, not even for those who verify it offline."""
    end = grant.issued_at + LIFETIME
    ends_at = grant.login.ends_at
    return end if ends_at is None else max(grant.issued_at, min(end, ends_at))


# To add a claim, add a line. Verification requires only those in REQUIRED, so existing tokens stay
# good.
CLAIMS = {
    "iss": Claim(lambda _: settings.ISSUER, "Issuer: this service."),
    "sub": Claim(lambda grant: grant.login.client_id, "Subject: the client."),
    "client_id": Claim(lambda grant: grant.login.client_id, "The client that requested it."),
    "aud": Claim(
        lambda grant: grant.resource.identifier if grant.resource else settings.JWT_AUDIENCE,
        "Audience: a service that finds another name here must refuse the token.",
    ),
    "scope": Claim(lambda grant: " ".join(grant.scopes), "What the token allows."),
    "iat": Claim(lambda grant: grant.issued_at, "When the token was issued."),
    "exp": Claim(
        _expiry,
        "When the token expires; it is refused from that second on.",
    ),
    "jti": Claim(lambda _: secrets.token_hex(16), "Token id, used to revoke it."),
    FINGERPRINT_CLAIM: Claim(
        _name_credential,
        "The credential it was obtained with. The token ends when that credential ends.",
    ),
}
REQUIRED_TEXTS = ("client_id", "sub", "aud", "jti", "scope", FINGERPRINT_CLAIM)
REQUIRED_TIMES = ("iat", "exp")
REQUIRED = {"iss", *REQUIRED_TEXTS, *REQUIRED_TIMES}


class Backend(TokenBackend):
    """SimpleJWT's backend, with the keys of `keys.py`.

    It looks the encoded header up among those of our keys and never parses it. So no token can
    choose its key or algorithm (RFC 8725 §3.1), and `jku`, `x5u`, `jwk`, `x5c` and `crit` have no
    effect.
    """

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token. `jwt.encode` would build the header anew, for 5 % CPU."""
        key = keys.signing_key()
        claims = _encoder.encode(payload).encode()
        signed = f"{key.header}.{encode(claims)}"
        return f"{signed}.{encode(key.implementation.sign(signed.encode(), key.signing))}"

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that we signed. Raises `TokenBackendError`."""
        key = keys.find(token.partition(".")[0]) if len(token) <= MAX_LENGTH else None
        if key is None:
            raise TokenBackendError("The token is too long or its key is unknown.")
        return dict(_signed_claims(token, key))


@lru_cache(maxsize=CACHE_SIZE)
def _signed_claims(token: str, key: keys.Key) -> Mapping[str, Any]:
    """Verify what cannot change about a token: its signature and the form of its claims.

    The result is cached per token and key. A forged token raises, so it is never cached. The
    callers check what can change: the key, expiry, revocation and the client.
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
    client_id, sub, *texts = [claims.get(name) for name in REQUIRED_TEXTS]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise TokenBackendError("The token lacks a claim.")
    if not all(type(claims.get(name)) is int for name in REQUIRED_TIMES):  # not a bool
        raise TokenBackendError("The token lacks its issue or expiry time.")
    if not 0 <= claims["exp"] - claims["iat"] <= LIFETIME or not 0 <= claims["exp"] < 2**33:
        raise TokenBackendError("The token's times are out of range.")
    if claims.get("iss") != settings.ISSUER:
        raise TokenBackendError("The token has another issuer.")
    if not isinstance(sub, str) or not sub or sub != client_id or not _is_storable(sub):
        raise TokenBackendError("The token has no subject.")
    if not 0 < len(claims["jti"]) <= JTI_LENGTH:
        raise TokenBackendError("The token has no usable id.")
    return MappingProxyType(claims)


def _is_storable(text: str) -> bool:
    """Tell whether a database can hold a text. Imported client ids may be any such text."""
    return "\0" not in text and text.encode(errors="ignore").decode() == text


forget = _signed_claims.cache_clear
_backend = Backend("ES256")


class AccessToken(simplejwt.AccessToken):
    """SimpleJWT's access token, read by our backend. It may be for any resource."""

    def get_token_backend(self) -> Backend:
        return _backend

    def verify(self) -> None:
        """Also refuse a token issued in the future, except for a small difference of clocks."""
        super().verify()
        latest = self.current_time + keys.LEEWAY
        if self.payload["iat"] > latest.timestamp():
            raise TokenError("The token was issued in the future.")

    def check_exp(self, claim: str = "exp", current_time: datetime | None = None) -> None:
        """Raise `ExpiredTokenError`, so that callers can say so. Each token has the claim."""
        try:
            super().check_exp(claim, current_time)
        except TokenError as error:
            raise ExpiredTokenError("The token has expired.") from error

    @property
    def is_for_this_service(self) -> bool:
        return bool(self.payload["aud"] == settings.JWT_AUDIENCE)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token and what the response says about it (RFC 6749 §5.1)."""

    text: str
    expires_in: int  # seconds
    scope: str


def issue(
    login: Login, scopes: tuple[str, ...], resource: GrantedResource | None = None
) -> IssuedToken:
    """Return a token for a client that has just logged in. Raises `TokenTooLongError`."""
    grant = Grant(login, scopes, int(time.time()), resource)
    claims = {name: claim.value(grant) for name, claim in CLAIMS.items()}
    lifetime = int(claims["exp"]) - grant.issued_at
    token = IssuedToken(_backend.encode(claims), lifetime, " ".join(scopes))
    if len(token.text) > MAX_LENGTH:
        raise TokenTooLongError
    audit.record(
        "token_issued",
        client=login.client_id,
        address=login.address,
        jti=claims["jti"],
        credential=login.credential,
        **({"resource": resource.identifier} if resource else {}),
    )
    return token


def read(text: str) -> AccessToken:
    """Parse a token for any resource; check its signature, issuer and times. Raises `TokenError`.

    It makes no query for keys already loaded. `verify` also asks about the client and revocation.
    """
    return AccessToken(text)  # type: ignore[arg-type] # SimpleJWT takes text, and annotates a token


def has_expired(text: str) -> bool:
    """Tell whether a token of ours has expired. It makes no query for keys already loaded."""
    try:
        read(text)
    except ExpiredTokenError:
        return True
    except TokenError:
        pass
    return False


def verify(text: str) -> AccessToken:
    """Parse a token for this service and check that it is good now. Raises `TokenError`.

    One query tells whether the client is active, the token is not revoked, and its credential is
    still good.
    """
    try:
        token = _verify(text)
    except TokenError:
        metrics.count_token_check("refused")
        raise
    metrics.count_token_check("good")
    return token


def _verify(text: str) -> AccessToken:
    token = read(text)
    _check_client(token)
    if not token.is_for_this_service:
        raise OtherAudienceError("The token is for another service.")
    return token


def inspect(text: str, login: Login) -> dict[str, Any] | None:
    """Return a token's claims, or `None` if it is bad or the client may not see it (RFC 7662 §2.2).

    A client may introspect its own tokens and, if it is the server of a resource, the tokens for
    that resource. With the scope `introspect` it may introspect all.
    """
    try:
        token = read(text)
        client = _check_client(token)
    except TokenError:
        return None
    may_see = login.client_id in {client.client_id, client.resource_server}
    return public_claims(token) if may_see or INTROSPECT in login.scopes else None


def _check_client(token: AccessToken) -> ClientState:
    """Return the state of a token's client, which the token must agree with. One query.

    Raises `TokenError`.
    """
    credential, _, fingerprint = token[FINGERPRINT_CLAIM].rpartition(".")
    client = look_up_for_token(
        token["sub"],
        jti=token["jti"],
        credential=credential,
        resource=None if token.is_for_this_service else token["aud"],
    )
    if client is None or not client.is_active:
        raise TokenError("The token has been revoked.")
    presented = fingerprint.encode()
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(
        hmac.compare_digest(
            presented, _fingerprint(key, bound_to, client.generation, client.grant_id).encode()
        )
        for key in secret_keys
        for bound_to in ([credential] if credential else client.secret_hashes)
    ):
        raise TokenError("The token has been revoked.")
    return client


def public_claims(token: AccessToken) -> dict[str, Any]:
    """Return all claims but the fingerprint, which only this service uses."""
    return {name: value for name, value in token.payload.items() if name != FINGERPRINT_CLAIM}


def revoke(text: str, login: Login) -> None:
    """Revoke a client's own token, in every process from the next request on (RFC 7009 §2.1).

    Ignore a token that is not good. Raises `NotOwnTokenError` for that of another client.
    """
    try:
        token = read(text)
    except TokenError:
        return
    if token["sub"] != login.client_id:
        raise NotOwnTokenError
    expires_at = datetime.fromtimestamp(token["exp"], UTC)
    RevokedToken.objects.get_or_create(jti=token["jti"], defaults={"expires_at": expires_at})
    then = datetime.now(UTC) - keys.LEEWAY  # by then expired on machines with a slow clock too
    RevokedToken.objects.delete_some_expired(then, DELETED_AT_ONCE)
    audit.record("token_revoked", client=login.client_id, address=login.address, jti=token["jti"])


def revoke_all(clients: QuerySet[Any]) -> None:
    """Revoke all tokens of these clients. Their secrets stay good and obtain new ones."""
    first = [TokenGeneration(client_id=pk, number=0) for pk in clients.values_list("pk", flat=True)]
    TokenGeneration.objects.bulk_create(first, batch_size=1000, ignore_conflicts=True)
    generations = TokenGeneration.objects.filter(client__in=clients.values("pk"))
    generations.update(number=F("number") + 1)
