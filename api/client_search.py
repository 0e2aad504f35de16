"""Find clients among a million, on both databases. Each search has an index."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Collate, Upper
from django.utils import timezone

from api import identifiers
from api.models import Client, ClientKey, ClientProfile, Resource, ResourceGrant

# Clients that a search for a text or for what expires selects; a condition that selects no more is
# narrow.
MAX_FOUND = 1000
BATCH = 1000
_BYTE_ORDER = {"postgresql": "C", "sqlite": "BINARY"}


def find_clients(
    *,
    active: bool | None = None,
    scope: str = "",
    resource: str = "",
    unused_since: datetime | None = None,
    expiring_before: datetime | None = None,
) -> QuerySet[Client]:
    """Select clients; each argument narrows the selection.

    `scope` and `resource` are names that the client has been granted. A client is `unused_since` a
    time if it existed then and has not logged in since. It is `expiring_before` a time if its
    secret or one of its keys, good now, expires before.
    """
    clients = Client.objects.all()
    if active is not None:
        clients = clients.filter(is_active=active)
    if scope:
        group = Group.objects.filter(name=scope).first()
        members = User.groups.through.objects.filter(group=group).values_list("user_id")
        clients = _narrow(clients, members, Exists(members.filter(user=OuterRef("pk"))))
    if resource:
        spellings = identifiers.spellings(resource)
        named = Resource.objects.filter(identifier__in=spellings).first()
        granted = ResourceGrant.objects.filter(resource=named).values_list("client_id")
        clients = _narrow(clients, granted, Exists(granted.filter(client=OuterRef("pk"))))
    if unused_since is not None:
        used_before = Q(last_login__lt=unused_since)
        never_used = Q(last_login=None, date_joined__lt=unused_since)
        first, second = (
            User.objects.filter(one).values_list("pk") for one in (used_before, never_used)
        )
        clients = _narrow(clients, first.union(second, all=True), used_before | never_used)
    if expiring_before is not None:
        rows = _expiring(gt=timezone.now(), lt=expiring_before)
        secrets, keys = (found.order_by().values_list("client_id") for found in rows)
        own_secret, own_keys = (
            Exists(found.filter(client=OuterRef("pk"))) for found in (secrets, keys)
        )
        clients = _narrow(clients, secrets.union(keys, all=True), own_secret | own_keys)
    return clients


def _narrow(
    clients: QuerySet[Client], ids: QuerySet[Any, tuple[int]], condition: Q | Exists
) -> QuerySet[Client]:
    """Select the clients with these ids, if they are few, or else all that meet the condition.

    Databases estimate badly which of the two is quick: to go through an index in the order of the
    list until a page is full, or to sort what another index finds.
    """
    found = [pk for (pk,) in ids[: MAX_FOUND + 1]]
    return clients.filter(condition if len(found) > MAX_FOUND else Q(pk__in=found))


def _expiring(**span: datetime) -> tuple[QuerySet[Any], QuerySet[Any]]:
    """Select the secrets and the keys that expire in a span, such as `gt=…`, by their time."""
    secrets = {f"secret_expires_at__{bound}": moment for bound, moment in span.items()}
    keys = {f"expires_at__{bound}": moment for bound, moment in span.items()}
    return (
        ClientProfile.objects.filter(**secrets).order_by("secret_expires_at"),
        ClientKey.objects.filter(**keys).order_by("expires_at"),
    )


def next_to_expire(queryset: QuerySet[Client], before: datetime) -> QuerySet[Client]:
    """Select the clients whose secret or one of whose keys expires next, and before a time."""
    return _select(queryset, _expiring(gt=timezone.now(), lt=before))


def last_expired(queryset: QuerySet[Client]) -> QuerySet[Client]:
    """Select the clients whose secret or one of whose keys has expired last."""
    return _select(queryset, (rows.reverse() for rows in _expiring(lte=timezone.now())))


def _select(queryset: QuerySet[Client], found: Iterable[QuerySet[Any]]) -> QuerySet[Client]:
    """Select the clients of the first rows of each query."""
    pks: set[int] = set()
    for rows in found:
        pks.update(rows.values_list("client_id", flat=True)[:MAX_FOUND])
    return queryset.filter(pk__in=pks)


def search(queryset: QuerySet[Client], start: str) -> QuerySet[Client]:
    """Select the clients whose id or name starts with a text. Names match in any case.

    Each is a range of an index in byte order. SQLite's LIKE cannot use an index, and PostgreSQL's
    LIKE cannot use one in the order of a language.
    """
    if not start:
        return queryset
    end = start + chr(sys.maxunicode)
    matches: set[int] = set()
    for text, lower, upper in (
        (F("username"), Value(start), Value(end)),
        (Upper("first_name"), Upper(Value(start)), Upper(Value(end))),
    ):
        keyed = queryset.alias(key=Collate(text, _BYTE_ORDER[connection.vendor]))
        found = keyed.filter(key__gte=lower, key__lt=upper).order_by("key")
        matches.update(found.values_list("pk", flat=True)[:MAX_FOUND])
    return queryset.filter(pk__in=matches)


def in_batches(clients: QuerySet[Client]) -> Iterator[Client]:
    """Yield clients, the oldest first, with one batch in memory at a time.

    `QuerySet.iterator` keeps all rows: PostgreSQL's cursors are off, because of PgBouncer.
    """
    last = 0
    while batch := list(clients.filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield from batch
        last = batch[-1].pk
