"""Give clients keys of their own, and check the assertions they sign (RFC 7523 §2.2)."""

import hashlib
import json
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from api import jose, keys, public_keys
from api.assertions import LEEWAY, Assertion, find_signer
from api.credentials import BadCredentialsError, Login
from api.jose import PublicKey, UnusableKeyError
from api.models import Client, ClientKey, UsedAssertion
from api.public_keys import GivenKey
from api.standing import ClientState, look_up_for_assertion
from api.writes import unless_busy

METHOD = "private_key_jwt"  # its name in RFC 7591
KIND = "key"  # of credential, in tokens
MAX_NAME_LENGTH = 150
# On average, so that clients cannot decide when: twice as many are deleted as are made meanwhile.
DELETED_EVERY, DELETED_AT_ONCE = 32, 64
MAX_AHEAD = 5 * 60  # seconds that `exp` may be ahead
TYPES = {"", "JWT", "client-authentication+jwt"}


def add(
    client: Client,
    given: Sequence[GivenKey],
    *,
    name: str = "",
    expires_at: datetime | None = None,
) -> list[ClientKey]:
    """Give a client these keys. Raises `UnusableKeyError`.

    A key ends with its certificate, or at `expires_at` if that is earlier.
    """
    if expires_at and expires_at <= timezone.now():
        raise UnusableKeyError("The key would have expired already.")
    with transaction.atomic():
        list(User.objects.select_for_update().filter(pk=client.pk).values_list("pk"))
        held = set(ClientKey.objects.filter(client_id=client.pk).values_list("kid", flat=True))
        if held & {one.key.kid for one in given}:
            raise UnusableKeyError("The client has this key already. Remove it there first.")
        rows = {one.key.kid: _row(client, one, name, expires_at) for one in given}
        public_keys.check_number(len(held) + len(rows))
        for row in rows.values():
            row.save(force_insert=True)
    return list(rows.values())


def _row(client: Client, one: GivenKey, name: str, expires_at: datetime | None) -> ClientKey:
    own_kid = one.key.jwk.get("kid", "")
    return ClientKey(
        client_id=client.pk,
        kid=one.key.kid,
        jwk_kid=own_kid,
        jwk=dict(one.key.jwk),
        name=(name or own_kid)[:MAX_NAME_LENGTH],
        expires_at=min(filter(None, (one.expires_at, expires_at)), default=None),
    )


def check(
    assertion: Assertion, *, client_id: str | None, audiences: Collection[str], address: str
) -> Login:
    """Check an assertion that the client `sub` has signed. Raises `BadCredentialsError`.

    `client_id` is the client that the caller names beside it, if any. Call this inside
    `throttling.guard.guard`: it counts no failures. What does not depend on the client is checked
    first. After that, unknown clients take as long as known ones.
    """
    if assertion.typ not in TYPES:
        raise BadCredentialsError("assertion: wrong typ")
    subject, jti = assertion.text("sub"), assertion.text("jti")
    if assertion.text("iss") != subject:
        raise BadCredentialsError("assertion: iss is not sub")
    if client_id not in {None, subject}:
        raise BadCredentialsError("assertion: client_id is not sub")
    assertion.check_audience(audiences)
    expires_at = assertion.check_times(max_ahead=MAX_AHEAD)
    client, held = look_up_for_assertion(subject, kid=assertion.kid)
    loaded = [_load(key.jwk) for key in held]
    signer = find_signer(assertion, loaded)
    if not client.pk:
        raise BadCredentialsError("unknown client", client)
    if signer is None:
        reason = "assertion: wrong signature" if held else "assertion: no key"
        raise BadCredentialsError(reason, client)
    if not client.is_active:
        raise BadCredentialsError("inactive client", client)
    if not client.is_client:
        raise BadCredentialsError("staff, not a client", client)
    _use(client, jti, until=expires_at + LEEWAY)
    key = held[loaded.index(signer)]
    return Login(client, address, f"{KIND}:{key.pk}", ends_at=key.ends_at)


@lru_cache(maxsize=1024)
def _load(jwk: str) -> PublicKey:
    """Load a stored key. It is kept, or the time of a refusal would show how many a client has."""
    return jose.from_jwk(json.loads(jwk))


def _use(client: ClientState, jti: str, *, until: float) -> None:
    """Record that a client has used an assertion. Raises `BadCredentialsError` the second time.

    The database lets one of several processes insert the row, and keeps it over a restart.
    """
    digest = jose.encode(hashlib.sha256(f"{client.pk} {jti}".encode()).digest())
    if not UsedAssertion.objects.add_once(digest, datetime.fromtimestamp(until, UTC)):
        raise BadCredentialsError("assertion: used before", client)
    if not secrets.randbelow(DELETED_EVERY):
        then = timezone.now() - keys.LEEWAY  # so expired on machines with a slow clock too
        unless_busy(
            lambda: UsedAssertion.objects.delete_some_expired(then, DELETED_AT_ONCE),
            "Expired assertions could not be deleted.",
        )
