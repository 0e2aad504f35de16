"""Issue, verify, introspect and revoke access tokens (RFC 9068)."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet
from rest_framework_simplejwt import tokens as simplejwt
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from api import audit, claims, keys, metrics
from api.credentials import Login
from api.models import RevokedToken, TokenGeneration
from api.scopes import INTROSPECT
from api.standing import ClientState, GrantedResource, look_up_for_token
from api.token_backend import MAX_LENGTH, Backend, backend

DELETED_AT_ONCE = 10  # expired rows that each revocation deletes


class OtherAudienceError(TokenError):
    """The token is good, but for another service."""


class NotOwnTokenError(Exception):
    """The client asked to revoke a token of another client."""


class TokenTooLongError(Exception):
    """The token would be longer than we accept, because it names too many scopes."""


class AccessToken(simplejwt.AccessToken):
    """SimpleJWT's access token, read by our backend. It may be for any resource."""

    def get_token_backend(self) -> Backend:
        return backend

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
    grant = claims.Grant(login, scopes, int(time.time()), resource)
    payload = {name: claim.value(grant) for name, claim in claims.CLAIMS.items()}
    lifetime = int(payload["exp"]) - grant.issued_at
    token = IssuedToken(backend.encode(payload), lifetime, " ".join(scopes))
    if len(token.text) > MAX_LENGTH:
        raise TokenTooLongError
    audit.record(
        "token_issued",
        client=login.client_id,
        address=login.address,
        jti=payload["jti"],
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
    credential, fingerprint = claims.read_binding(token.payload)
    client = look_up_for_token(
        token["sub"],
        jti=token["jti"],
        credential=credential,
        resource=None if token.is_for_this_service else token["aud"],
    )
    if (
        client is None
        or not client.is_active
        or not claims.is_bound_to(client, credential, fingerprint)
    ):
        raise TokenError("The token has been revoked.")
    return client


def public_claims(token: AccessToken) -> dict[str, Any]:
    """Return all claims but the fingerprint, which only this service uses."""
    hidden = claims.FINGERPRINT_CLAIM
    return {name: value for name, value in token.payload.items() if name != hidden}


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
