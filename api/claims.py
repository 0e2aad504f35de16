"""What a token says: its claims (RFC 9068 §2.2), and which of them a good token must have."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from rest_framework_simplejwt.settings import api_settings

from api import keys
from api.credentials import Login
from api.models import JTI_LENGTH
from api.standing import ClientState, GrantedResource

FINGERPRINT_CLAIM = "secret_fp"
LIFETIME = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())  # seconds


class MalformedClaimsError(Exception):
    """The claims are none that this service signs."""


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


@lru_cache(maxsize=1024)
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


def check_form(claims: Any) -> None:
    """Check what cannot change about a token's claims. Raises `MalformedClaimsError`."""
    if not isinstance(claims, dict):
        raise MalformedClaimsError("The token's claims are not an object.")
    client_id, sub, *texts = [claims.get(name) for name in REQUIRED_TEXTS]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise MalformedClaimsError("The token lacks a claim.")
    if not all(type(claims.get(name)) is int for name in REQUIRED_TIMES):  # not a bool
        raise MalformedClaimsError("The token lacks its issue or expiry time.")
    if not 0 <= claims["exp"] - claims["iat"] <= LIFETIME or not 0 <= claims["exp"] < 2**33:
        raise MalformedClaimsError("The token's times are out of range.")
    if claims.get("iss") != settings.ISSUER:
        raise MalformedClaimsError("The token has another issuer.")
    if not isinstance(sub, str) or not sub or sub != client_id or not _is_storable(sub):
        raise MalformedClaimsError("The token has no subject.")
    if not 0 < len(claims["jti"]) <= JTI_LENGTH:
        raise MalformedClaimsError("The token has no usable id.")


def _is_storable(text: str) -> bool:
    """Tell whether a database can hold a text. Imported client ids may be any such text."""
    return "\0" not in text and text.encode(errors="ignore").decode() == text


def read_binding(claims: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of the credential that obtained a token, and its fingerprint.

    The name is empty for a secret.
    """
    credential, _, fingerprint = claims[FINGERPRINT_CLAIM].rpartition(".")
    return credential, fingerprint


def is_bound_to(client: ClientState, credential: str, fingerprint: str) -> bool:
    """Tell whether the client, as it is now, has the credential with this fingerprint."""
    presented = fingerprint.encode()
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(
        hmac.compare_digest(
            presented, _fingerprint(key, bound_to, client.generation, client.grant_id).encode()
        )
        for key in secret_keys
        for bound_to in ([credential] if credential else client.secret_hashes)
    )
