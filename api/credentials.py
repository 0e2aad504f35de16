"""Whether credentials are good, and how clients come by them.

What a check costs depends on the form of the presented secret alone: one SHA-256 for a generated
one, one Argon2id run for any other, whether the client is known, active, or stored otherwise. So
the time of an answer tells nothing. (The one exception: a hash imported from another Django project
is checked with its own algorithm until its owner's first login replaces it.)
"""

import logging
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.contrib.auth.hashers import get_hasher, make_password
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework_simplejwt.settings import api_settings

from api import audit
from api.hashers import GeneratedSecretHasher, generate_secret, is_generated
from api.models import Client, RetiredSecret
from api.standing import ClientState, look_up_for_login

INTROSPECT, REGISTER = "introspect", "register"  # the scopes that this service itself asks for
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §3.3
MARGIN = timedelta(seconds=10)  # for a login that began before another one upgraded the hash
logger = logging.getLogger(__name__)


class BadCredentialsError(Exception):
    """Credentials that are not a client's. `reason` is for the log, and for nobody else."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SecretChangedError(Exception):
    """Somebody else changed the client's secret in the meantime."""


class ScopeNotGrantedError(Exception):
    """The client asked for a scope that it does not have."""


@dataclass(frozen=True, slots=True)
class Login:
    """A client that presented a good secret, the stored hash of that, and where it called from."""

    client: ClientState
    secret_hash: str
    address: str

    @property
    def client_id(self) -> str:
        return self.client.client_id

    @property
    def scopes(self) -> tuple[str, ...]:
        """The client's groups whose names can be scopes."""
        return tuple(filter(is_scope, self.client.groups))

    def narrow(self, requested: str | None) -> tuple[str, ...]:
        """Return the scopes asked for, or all where none is named (RFC 6749 §3.3).

        Raises `ScopeNotGrantedError`.
        """
        if not requested:
            return self.scopes
        wanted = set(requested.split(" "))
        if not wanted.issubset(self.scopes):
            raise ScopeNotGrantedError
        return tuple(scope for scope in self.scopes if scope in wanted)


def is_scope(name: str) -> bool:
    """Tell whether a group's name can be a scope; another would be read as several, or as none."""
    return bool(SCOPE.fullmatch(name))


def scopes() -> list[Group]:
    return [group for group in Group.objects.order_by("name") if is_scope(group.name)]


def current_scopes(client_id: str) -> set[str]:
    """Return the scopes that a client has at this moment; its token may name one that it had."""
    return set(filter(is_scope, look_up_for_login(client_id).groups))


def check(client_id: str, secret: str, *, address: str, is_staff: bool = False) -> Login:
    """Return which client these credentials belong to, or who of the staff.

    The caller guards it: see `throttling/guard.py`. Raises `BadCredentialsError`.
    """
    if "\0" in client_id + secret:
        # PBKDF2 takes a secret with NUL bytes appended for the secret itself.
        raise BadCredentialsError("malformed")
    generated = is_generated(secret)
    presented = GeneratedSecretHasher().encode(secret, "") if generated else ""
    client = look_up_for_login(client_id, secret_hash=presented)
    matched = _match(secret, presented, client.secret_hashes)
    if not client.pk:
        raise BadCredentialsError("unknown client")
    if matched is None:
        raise BadCredentialsError("wrong secret")
    if not client.is_active:
        raise BadCredentialsError("inactive client")
    if client.is_staff != is_staff:
        raise BadCredentialsError("not staff" if is_staff else "staff, and no client")
    if not generated:
        matched = _upgrade(client, secret, matched)
    _mark_used(client)
    return Login(client, matched, address)


def _match(secret: str, presented: str, stored: tuple[str, ...]) -> str | None:
    """Return which of the stored hashes is that of a secret, at one cost for each form.

    `presented` is the hash of a generated secret, and empty for a chosen one.
    """
    if presented:
        return next((one for one in stored if constant_time_compare(one, presented)), None)
    prefix = f"{GeneratedSecretHasher.algorithm}$"
    # Two chosen secrets are never good at once: a rotation puts a generated one in the first place.
    encoded = next((one for one in stored if not one.startswith(prefix)), "")
    try:
        hasher = get_hasher(encoded.split("$", 1)[0])
        return encoded if hasher.verify(secret, encoded) else None
    except ValueError:  # no such client, no chosen secret, or a hash nobody here can read
        get_hasher().verify(secret, _dummy_hash())
        return None


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    return make_password("a secret that somebody might choose")


def _upgrade(client: ClientState, secret: str, encoded: str) -> str:
    """Replace an old or weaker hash of a chosen secret, and return the one that is stored now.

    The old hash stays as a retired one while the tokens obtained with it live. Of two logins at
    once, one stores its hash and the other goes on with the old one; and so does a login whose
    secret is changed meanwhile, so that its token ends with that secret.
    """
    preferred = get_hasher()
    if encoded.startswith(f"{preferred.algorithm}$") and not preferred.must_update(encoded):
        return encoded
    upgraded = make_password(secret)
    try:
        with _unless_locked():
            rows = User.objects.filter(pk=client.pk, password=encoded)
            if not rows.update(password=upgraded):
                return encoded
            RetiredSecret.objects.update_or_create(
                client_id=client.pk,
                defaults={
                    "hash": encoded,
                    "replaced_by": upgraded,
                    "expires_at": timezone.now() + api_settings.ACCESS_TOKEN_LIFETIME + MARGIN,
                },
            )
    except Error:
        logger.warning("The hash of a client's secret could not be upgraded.")
        return encoded
    return upgraded


def _mark_used(client: ClientState) -> None:
    """Note that a client logged in, at most once an hour; a login never fails for it."""
    if client.was_used_recently:
        return
    try:
        with _unless_locked():
            User.objects.filter(pk=client.pk).update(last_login=timezone.now())
    except Error:
        logger.warning("The last use of a client could not be noted.")


@contextmanager
def _unless_locked() -> Iterator[None]:
    """Begin a transaction that fails at once where it would have to wait for another writer."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout")
            (patience,) = cursor.fetchone()
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                with transaction.atomic():
                    yield
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {patience}")
        else:
            with transaction.atomic():
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
                yield


def create_client(
    client_id: str | None = None,
    *,
    name: str = "",
    scopes: Iterable[str] = (),
    secret: str | None = None,
) -> tuple[Client, str]:
    """Make a client and return it with its secret, which exists nowhere else in the clear.

    The id is generated where none is given, and so is the secret. Raises `ValidationError`.
    """
    secret = secret or generate_secret()
    scopes = set(scopes)
    for scope in scopes:
        if not is_scope(scope):
            raise ValidationError({"scopes": f"{scope!r} is not a scope (RFC 6749 §3.3)."})
        Group(name=scope).clean_fields()
    client = Client(username=client_id or str(uuid.uuid4()), first_name=name)
    client.password = make_password(secret)
    client.full_clean()
    try:
        with transaction.atomic():
            client.save(force_insert=True)
            client.groups.set([Group.objects.get_or_create(name=scope)[0] for scope in scopes])
    except IntegrityError:
        # Somebody else took the id after it was looked for.
        raise ValidationError({"username": "This client id is taken."}) from None
    return client, secret


def register_client(*, name: str, scopes: Iterable[str], address: str) -> tuple[Client, str]:
    """Make a client for a caller at an address, and record that: see `create_client`."""
    client, secret = create_client(name=name, scopes=scopes)
    audit.record("client_registered", client=client.username, address=address)
    return client, secret


def secret_version(client: Client) -> str:
    """Return a text that tells one secret of a client from the next, and nothing about either."""
    return salted_hmac(__name__, client.password, algorithm="sha256").hexdigest()[:32]


def grace_end(client: Client) -> datetime | None:
    """Return when the secret before the current one ends, or `None` if it already has."""
    in_grace = RetiredSecret.objects.filter(
        client_id=client.pk, replaced_by=client.password, expires_at__gt=timezone.now()
    )
    return in_grace.values_list("expires_at", flat=True).first()


def rotate_secret(
    client: Client, *, grace: timedelta | None = None, version: str | None = None
) -> str:
    """Give a client a new generated secret and return it.

    With a grace, the old secret and its tokens stay good that long; without, both end now, and so
    does a secret that was still in grace. Raises `SecretChangedError` if the secret is no longer
    the one that `client` was loaded with, or not of the `version` that somebody looked at: of two
    rotations at once, one wins and the other says so.
    """
    secret = generate_secret()
    old, new = client.password, make_password(secret)
    seen = version is None or constant_time_compare(version, secret_version(client))
    with transaction.atomic():
        if not seen or not Client.objects.filter(pk=client.pk, password=old).update(password=new):
            raise SecretChangedError(f"The secret of {client.username} has just been changed.")
        RetiredSecret.objects.filter(client_id=client.pk).delete()
        if grace:
            RetiredSecret.objects.create(
                client_id=client.pk,
                hash=old,
                replaced_by=new,
                expires_at=timezone.now() + grace,
            )
    client.password = new
    return secret
