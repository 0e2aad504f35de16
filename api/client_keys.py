"""Check assertions that clients sign with keys of their own (`private_key_jwt`, RFC 7523 §2.2)."""

import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime

from django.db import IntegrityError, transaction

from api import jose, usage
from api.assertions import LEEWAY, Assertion, find_signer
from api.credentials import BadCredentialsError, Login
from api.models import UsedAssertion
from api.standing import look_up_for_assertion

KIND = "key"  # of credential, in tokens
MAX_AHEAD = 5 * 60  # seconds that `exp` may be ahead
TYPES = {"", "JWT", "client-authentication+jwt"}


def check(
    assertion: Assertion, *, client_id: str | None, audiences: Collection[str], address: str
) -> Login:
    """Check an assertion that the client `sub` has signed. Raises `BadCredentialsError`.

    `client_id` is the client that the caller names beside it, if any. Call this inside
    `throttling.guard.guard`: it counts no failures. What does not depend on the client is checked
    first. After that, unknown clients take as long as known ones.
    """
    if assertion.typ not in TYPES:
        raise BadCredentialsError("assertion: another typ")
    subject, jti = assertion.text("sub"), assertion.text("jti")
    if assertion.text("iss") != subject:
        raise BadCredentialsError("assertion: iss is not sub")
    if client_id not in {None, subject}:
        raise BadCredentialsError("assertion: client_id is not sub")
    assertion.check_audience(audiences)
    expires_at = assertion.check_times(max_ahead=MAX_AHEAD)
    client, held = look_up_for_assertion(subject, kid=assertion.kid)
    keys = [jose.from_jwk(json.loads(key.jwk)) for key in held]
    signer = find_signer(assertion, keys)
    if not client.pk:
        raise BadCredentialsError("unknown client")
    if signer is None:
        raise BadCredentialsError("assertion: wrong signature" if held else "assertion: no key")
    if not client.is_active:
        raise BadCredentialsError("inactive client")
    if not client.is_client:
        raise BadCredentialsError("staff, not a client")
    _use(client.pk, jti, until=expires_at + LEEWAY)
    key = held[keys.index(signer)]
    usage.mark_key(client, key)
    return Login(client, address, credential=f"{KIND}:{key.pk}")


def _use(client_pk: int, jti: str, *, until: float) -> None:
    """Record that a client has used an assertion. Raises `BadCredentialsError` the second time.

    The database lets only one of several processes insert the row, and keeps it over a restart.
    """
    digest = jose.encode(hashlib.sha256(f"{client_pk} {jti}".encode()).digest())
    try:
        with transaction.atomic():
            UsedAssertion.objects.create(
                digest=digest, expires_at=datetime.fromtimestamp(until, UTC)
            )
    except IntegrityError:
        raise BadCredentialsError("assertion: used before") from None
