"""Create clients, and check the secrets of clients and of people in the admin.

The cost of a check depends only on the form of the presented secret: one SHA-256 for a generated
secret, one Argon2id run for any other. A secret with whitespace around it costs a second check,
without that whitespace. The cost does not depend on the client or the stored hash, so response
times reveal nothing. One exception: a hash imported from another login service is checked with its
own algorithm until the client's first login replaces it.

Secrets imported as random have fast hashes too, but not the form of a generated one. So any long
secret is first checked `only_fast`. If that fails, the check that costs an Argon2id run decides.
"""

import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.contrib.auth.hashers import get_hasher, make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.settings import api_settings

from api import expiry
from api.hashers import (
    GeneratedSecretHasher,
    generate_secret,
    is_generated,
    is_unreadable,
    may_be_random,
)
from api.models import Client, ClientProfile, RetiredSecret
from api.scopes import get_or_create_scopes, is_scope
from api.standing import ClientState, GrantedResource, look_up_for_login
from api.writes import fail_if_locked

RIGHT_WITHOUT_SPACES = "wrong secret, right without the spaces or line breaks around it"
CURRENT, PREVIOUS = "secret", "previous_secret"  # credentials of a login
TAKEN = "This client id is taken. Choose another, or rotate the secret of the client that has it."
NO_SECRET = ""  # for a client that has another credential
UPGRADE_MARGIN = timedelta(seconds=10)  # for logins that began before the hash was upgraded
logger = logging.getLogger(__name__)


class BadCredentialsError(Exception):
    """The credentials are wrong. `reason` is for the log only, never for the caller.

    `client` is what the database said about the client, if it was asked.
    """

    def __init__(self, reason: str, client: ClientState | None = None) -> None:
        super().__init__(reason)
        self.reason, self.client = reason, client


class ScopeNotGrantedError(Exception):
    """The client requested a scope that it does not have, or not for this resource."""


@dataclass(frozen=True, slots=True)
class Login:
    """A successful login: the client, the caller's address, and what proved the client's identity.

    That is `CURRENT` or `PREVIOUS` with the stored hash of the secret, or the likes of `key:17`.
    `ends_at` is when it ends, in Unix time, if that is known.
    """

    client: ClientState
    address: str
    credential: str
    secret_hash: str = ""
    ends_at: int | None = None

    @property
    def client_id(self) -> str:
        return self.client.client_id

    @property
    def scopes(self) -> tuple[str, ...]:
        """The client's groups whose names can be scopes."""
        return tuple(filter(is_scope, self.client.groups))

    def select_scopes(
        self, requested: str | None, resource: GrantedResource | None = None
    ) -> tuple[str, ...]:
        """Return the requested scopes, or all if none is requested (RFC 6749 §3.3).

        They are those of the client that the resource understands. Raises `ScopeNotGrantedError`.
        """
        scopes = self.scopes
        if resource and resource.scopes:
            scopes = tuple(scope for scope in scopes if scope in resource.scopes)
        wanted = set(filter(None, (requested or "").split(" ")))  # several spaces count as one
        if not wanted:
            return scopes
        if not wanted.issubset(scopes):
            raise ScopeNotGrantedError
        return tuple(scope for scope in scopes if scope in wanted)


def current_scopes(client_id: str) -> set[str]:
    """Return the scopes a client has now; its token may still name one that it lost."""
    return set(filter(is_scope, look_up_for_login(client_id).groups))


def check(
    client_id: str, secret: str, *, address: str, is_staff: bool = False, only_fast: bool = False
) -> Login:
    """Check a client's credentials, or with `is_staff` a person's. Raises `BadCredentialsError`.

    It counts no failures: call it inside `throttling.guard.guard`. With `only_fast` it computes no
    slow hash, and a refusal means nothing for a secret that is not of the generated form.
    """
    if "\0" in client_id + secret:
        # PBKDF2 ignores NUL bytes at the end of a secret.
        raise BadCredentialsError("malformed")
    presented, trimmed = _fast_hash(secret), secret.strip()
    if only_fast and not presented:
        raise BadCredentialsError("no fast hash")
    is_slow = not (only_fast or is_generated(secret))
    client = look_up_for_login(client_id, secret_hash="" if is_slow else presented)
    matched = _match(secret, presented, client.secret_hashes, is_slow=is_slow)
    # Always tried, whatever matched: the time of a refusal must not show who is known.
    near = trimmed != secret and _match(
        *(trimmed, _fast_hash(trimmed), client.secret_hashes), is_slow=not is_generated(trimmed)
    )
    if not client.pk:
        raise BadCredentialsError("unknown client", client)
    if matched is None:
        if near:
            raise BadCredentialsError(RIGHT_WITHOUT_SPACES, client)
        unreadable = all(map(is_unreadable, client.secret_hashes))
        raise BadCredentialsError("unreadable hash" if unreadable else "wrong secret", client)
    if not client.is_active:
        raise BadCredentialsError("inactive client", client)
    ends_at = client.secret_ends[client.secret_hashes.index(matched)]
    if ends_at is not None and ends_at <= time.time():
        raise BadCredentialsError("expired secret", client)
    # No person has a random secret. A client that became staff past the receivers has one.
    if is_staff and (matched == presented or not client.is_staff):
        raise BadCredentialsError("not staff", client)
    if not is_staff and not client.is_client:
        raise BadCredentialsError("staff, not a client", client)
    credential = CURRENT if matched == client.secret_hashes[0] else PREVIOUS
    if matched != presented:
        matched = _upgrade(client, secret, matched)
    return Login(client, address, credential, secret_hash=matched, ends_at=ends_at)


def _fast_hash(secret: str) -> str:
    """Return the hash of a secret that may be random, and an empty text for any other."""
    return GeneratedSecretHasher().encode(secret, "") if may_be_random(secret) else ""


def _match(secret: str, fast_hash: str, stored: tuple[str, ...], *, is_slow: bool) -> str | None:
    """Return the stored hash that matches a secret, or `None`.

    With `is_slow` it always computes a slow hash, even if the fast one matches.
    """
    matched = next(
        (one for one in stored if fast_hash and constant_time_compare(one, fast_hash)), None
    )
    if not is_slow:
        return matched
    prefix = f"{GeneratedSecretHasher.algorithm}$"
    # At most one chosen secret is good at a time: a rotation always makes a generated one.
    encoded = next((one for one in stored if not one.startswith(prefix)), "")
    try:
        hasher = get_hasher(encoded.split("$", 1)[0])
        if hasher.verify(secret, encoded):
            return encoded
    except (ValueError, OverflowError):  # no chosen secret, or a hash that cannot be read
        get_hasher().verify(secret, _dummy_hash())
    return matched


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    return make_password("a secret that somebody might choose")


def _upgrade(client: ClientState, secret: str, encoded: str) -> str:
    """Replace an old or weak hash of a chosen secret, and return the hash to issue a token for.

    The old hash stays as a retired one while tokens obtained with it live. Of two concurrent
    logins, one stores the new hash and the other keeps the old one. A login also keeps the old one
    if the secret was changed in the meantime, so its token ends with that secret.
    """
    preferred = get_hasher()
    if encoded.startswith(f"{preferred.algorithm}$") and not preferred.must_update(encoded):
        return encoded
    upgraded = make_password(secret)
    grace = api_settings.ACCESS_TOKEN_LIFETIME + UPGRADE_MARGIN
    try:
        with fail_if_locked():
            rows = User.objects.filter(pk=client.pk, password=encoded)
            if not rows.update(password=upgraded):
                return encoded
            RetiredSecret.objects.update_or_create(
                client_id=client.pk,
                defaults={
                    "hash": encoded,
                    "replaced_by": upgraded,
                    "expires_at": timezone.now() + grace,
                    "last_used_at": None,
                    "last_used_from": "",
                },
            )
    except Error:
        logger.warning("The hash of a client's secret could not be upgraded.")
        return encoded
    return upgraded


def create_client(
    client_id: str | None = None,
    *,
    name: str = "",
    scopes: Iterable[str] = (),
    secret: str | None = None,
    secret_expires_at: datetime | None = None,
) -> tuple[Client, str]:
    """Create a client and return it with its secret, which is stored only as a hash.

    The id and the secret are generated unless given. With `NO_SECRET` the client has none.
    `expiry.choose` limits when the secret expires. Raises `ValidationError`.
    """
    secret = generate_secret() if secret is None else secret
    expires_at = None if secret == NO_SECRET else expiry.choose(secret_expires_at)
    client = Client(username=client_id or str(uuid.uuid4()), first_name=name)
    client.password = make_password(None if secret == NO_SECRET else secret)
    client.full_clean(validate_unique=False)  # the insert finds a taken id
    try:
        with transaction.atomic():
            client.save(force_insert=True)
            client.groups.add(*get_or_create_scopes(scopes))
            if expires_at:
                ClientProfile.objects.create(client=client, secret_expires_at=expires_at)
    except IntegrityError:
        raise ValidationError({"username": TAKEN}) from None
    return client, secret
