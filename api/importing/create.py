"""Create the clients of an import, a batch in each transaction."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from api import client_keys, clients, expiry, jose, resources, trust
from api.foreign_hashes import UnreadableHashError, to_django
from api.hashers import MIN_RANDOM_LENGTH, GeneratedSecretHasher, may_be_random
from api.importing.rows import Refusal, RefusedError, Row
from api.jose import UnusableKeyError
from api.models import Client, ClientProfile, TrustedIssuer
from api.public_keys import GivenKey
from api.scopes import get_or_create_scopes, validate_scope

BATCH = 1000  # rows
TAKEN = "The client id is taken."
NOT_RANDOM = (
    f"Its secret has spaces, or fewer than {MIN_RANDOM_LENGTH} ASCII characters. Import it "
    "without --generated."
)


def create(
    rows: Iterable[Row], *, are_random: bool = False, is_dry_run: bool = False
) -> Iterator[Row | Refusal]:
    """Create clients, and yield what became of each: the row, or why it was refused.

    A user with the same name is left as it is, so an interrupted import can be run again.
    `are_random` says that nobody chose the secrets, so a fast hash suffices.
    """
    to_hash = partial(_hash, are_random=are_random, is_dry_run=is_dry_run)
    seen: set[str] = set()
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        taken = _taken(batch)
        built: list[tuple[Client, Row]] = []
        for row in batch:
            try:
                if row.client_id in taken:
                    raise RefusedError(TAKEN)
                if row.client_id in seen:
                    raise RefusedError("The client id appears twice in the file.")
                built.append((_build(row, to_hash), row))
            except RefusedError as error:
                yield Refusal(row.client_id, str(error))
            else:
                seen.add(row.client_id)
        whole = [(client, row) for client, row in built if not _has_more(row)]
        if not is_dry_run:
            _save(whole)
        yield from (row for _, row in whole)
        for client, row in built:
            if _has_more(row):
                yield _save_with_more(client, row, is_dry_run=is_dry_run)


def _taken(batch: list[Row]) -> set[str]:
    names = [row.client_id for row in batch]
    return set(User.objects.filter(username__in=names).values_list("username", flat=True))


def _build(row: Row, to_hash: Callable[[Row], str]) -> Client:
    """Return the client of a row, not yet saved. Raises `RefusedError`."""
    if bool(row.secret) == bool(row.hash) and (row.secret or not row.has_other_credentials):
        raise RefusedError("It needs a secret, or the hash of one.")
    if not all(map(_can_be_scope, row.scopes)):
        raise RefusedError("One of its scopes is malformed (RFC 6749 §3.3).")
    try:
        client = Client(username=row.client_id, first_name=row.name, is_active=row.is_active)
        client.password = to_hash(row)
        client.clean_fields()
        client.profile = ClientProfile(secret_expires_at=expiry.choose(row.expires_at))
    except UnreadableHashError as error:
        raise RefusedError(str(error)) from None
    except ValidationError as error:
        raise RefusedError(" ".join(error.messages)) from None
    return client


def _hash(row: Row, *, are_random: bool, is_dry_run: bool) -> str:
    """Return what to store of a secret. Raises `RefusedError`, `UnreadableHashError`."""
    if row.hash:
        return to_django(row.hash)
    if not row.secret:
        return make_password(None)
    if are_random and not may_be_random(row.secret):
        raise RefusedError(NOT_RANDOM)
    if is_dry_run:
        return UNUSABLE_PASSWORD_PREFIX
    return make_password(
        row.secret, hasher=GeneratedSecretHasher.algorithm if are_random else "default"
    )


@lru_cache(maxsize=1024)
def _can_be_scope(name: str) -> bool:
    try:
        validate_scope(name)
    except ValidationError:
        return False
    return True


def _save(built: list[tuple[Client, Row]]) -> None:
    membership = Client.groups.through
    with transaction.atomic():
        names = {scope for _, row in built for scope in row.scopes}
        groups = {group.name: group.pk for group in get_or_create_scopes(names)}
        Client.objects.bulk_create([client for client, _ in built])
        ClientProfile.objects.bulk_create(
            client.profile for client, _ in built if client.profile.secret_expires_at
        )
        membership.objects.bulk_create(
            membership(user_id=client.pk, group_id=groups[scope])
            for client, row in built
            for scope in set(row.scopes)
        )


def _has_more(row: Row) -> bool:
    """Tell whether a client is to have more than a batch of inserts can give it."""
    return row.has_other_credentials or bool(
        row.resources or row.default_resource or row.auth_method
    )


def _save_with_more(client: Client, row: Row, *, is_dry_run: bool) -> Row | Refusal:
    """Save a client with its keys, identities and APIs, or refuse it as a whole."""
    try:
        with transaction.atomic():
            _save([(client, row)])
            for key in row.keys:
                given = GivenKey(jose.from_jwk(key.jwk))
                client_keys.add(client, [given], name=key.name, expires_at=key.expires_at)
            for one in row.identities:
                issuer = TrustedIssuer.objects.filter(url=one.issuer).first()
                if issuer is None:
                    raise ValidationError(f"The issuer {one.issuer!r} is not trusted here.")
                trust.add_identity(client, issuer, one.subject, one.claims)
            granted = [resources.find(identifier) for identifier in row.resources]
            default = resources.find(row.default_resource) if row.default_resource else None
            resources.set_grants(client, granted, default)
            if row.auth_method:
                clients.restrict(client, row.auth_method)
            transaction.set_rollback(is_dry_run)
    except UnusableKeyError as error:
        return Refusal(row.client_id, str(error))
    except ValidationError as error:
        return Refusal(row.client_id, " ".join(error.messages))
    return row
