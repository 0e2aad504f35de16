"""Find clients among a million, on both databases. Each search has an index."""

import re
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

MAX_FOUND = 1000  # clients that a search selects; a condition that selects no more is narrow
BATCH = 1000
MAX_NAME = 150  # characters
_BYTE_ORDER = {"postgresql": "C", "sqlite": "BINARY"}
_HAS_WORDS = {
    "postgresql": "to_tsvector('simple', regexp_replace(auth_user.first_name, '[^[:alnum:]]+', "
    "' ', 'g')) @@ to_tsquery('simple', %s)",
    "sqlite": "api_client_words.rowid = auth_user.id AND api_client_words MATCH %s",
}


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
        clients = with_scope(clients, Group.objects.filter(name=scope).first())
    if resource:
        spellings = identifiers.spellings(resource)
        named = Resource.objects.filter(identifier__in=spellings).first()
        clients = with_resource(clients, named)
    if unused_since is not None:
        used_before = Q(last_login__lt=unused_since)
        never_used = Q(last_login=None, date_joined__lt=unused_since)
        first, second = (
            User.objects.filter(one).values_list("pk") for one in (used_before, never_used)
        )
        clients = _narrow(clients, first.union(second, all=True), used_before | never_used)
    if expiring_before is not None:
        rows = expiring(gt=timezone.now(), lt=expiring_before)
        secrets, keys = (found.order_by().values_list("client_id") for found in rows)
        own_secret, own_keys = (
            Exists(found.filter(client=OuterRef("pk"))) for found in (secrets, keys)
        )
        clients = _narrow(clients, secrets.union(keys, all=True), own_secret | own_keys)
    return clients


def with_scope(clients: QuerySet[Client], group: Group | None) -> QuerySet[Client]:
    """Select the clients with a scope; none without a group."""
    members = User.groups.through.objects.filter(group=group and group.pk).values_list("user_id")
    return _narrow(clients, members, Exists(members.filter(user=OuterRef("pk"))))


def with_resource(clients: QuerySet[Client], resource: Resource | None) -> QuerySet[Client]:
    """Select the clients that may call a resource; none without one."""
    granted = ResourceGrant.objects.filter(resource=resource).values_list("client_id")
    return _narrow(clients, granted, Exists(granted.filter(client=OuterRef("pk"))))


def _narrow(
    clients: QuerySet[Client], ids: QuerySet[Any, tuple[int]], condition: Q | Exists
) -> QuerySet[Client]:
    """Select the clients with these ids, if they are few, or else all that meet the condition.

    Databases estimate badly which of the two is quick: to go through an index in the order of the
    list until a page is full, or to sort what another index finds.
    """
    found = [pk for (pk,) in ids[: MAX_FOUND + 1]]
    return clients.filter(condition if len(found) > MAX_FOUND else Q(pk__in=found))


def expiring(**span: datetime) -> tuple[QuerySet[Any], QuerySet[Any]]:
    """Select the secrets and the keys that expire in a span, such as `gt=…`, by their time."""
    secrets = {f"secret_expires_at__{bound}": moment for bound, moment in span.items()}
    keys = {f"expires_at__{bound}": moment for bound, moment in span.items()}
    return (
        ClientProfile.objects.filter(**secrets).order_by("secret_expires_at"),
        ClientKey.objects.filter(**keys).order_by("expires_at"),
    )


def next_to_expire(queryset: QuerySet[Client], before: datetime) -> QuerySet[Client]:
    """Select the clients whose secret or one of whose keys expires next, and before a time."""
    return _select(queryset, expiring(gt=timezone.now(), lt=before))


def last_expired(queryset: QuerySet[Client]) -> QuerySet[Client]:
    """Select the clients whose secret or one of whose keys has expired last."""
    return _select(queryset, (rows.reverse() for rows in expiring(lte=timezone.now())))


def _select(queryset: QuerySet[Client], found: Iterable[QuerySet[Any]]) -> QuerySet[Client]:
    """Select the clients of the first rows of each query."""
    pks: set[int] = set()
    for rows in found:
        pks.update(rows.values_list("client_id", flat=True)[:MAX_FOUND])
    return queryset.filter(pk__in=pks)


def search(queryset: QuerySet[Client], text: str) -> QuerySet[Client]:
    """Select the clients whose id or name starts with a text, or whose name has all of its words.

    A word is found by its beginning. Names match in any case.
    """
    if not text:
        return queryset
    matches = set(_ids(_with_words(queryset, text)))
    # Each start is a range of an index in byte order. SQLite's LIKE cannot use an index, and
    # PostgreSQL's cannot use one in the order of a language.
    end = text + chr(sys.maxunicode)
    for column, lower, upper in (
        (F("username"), Value(text), Value(end)),
        (Upper("first_name"), Upper(Value(text)), Upper(Value(end))),
    ):
        keyed = queryset.alias(key=Collate(column, _BYTE_ORDER[connection.vendor]))
        matches.update(_ids(keyed.filter(key__gte=lower, key__lt=upper).order_by("key")))
    return queryset.filter(pk__in=matches)


def _with_words(queryset: QuerySet[Client], text: str) -> QuerySet[Client]:
    words = re.findall(r"[^\W_]+", text)
    # A single letter would match too many: PostgreSQL reads all of them in the index.
    if max(map(len, words), default=0) < 2 or len(text) > MAX_NAME:
        return queryset.none()
    if connection.vendor == "postgresql":
        query, tables = " & ".join(f"{word}:*" for word in words), []
    else:
        query, tables = " ".join(f'"{word}"*' for word in words), ["api_client_words"]
    where = [_HAS_WORDS[connection.vendor]]
    # Not a subquery: SQLite would read all that match, where this stops at the limit.
    return queryset.extra(tables=tables, where=where, params=[query]).order_by()  # noqa: S610


def _ids(queryset: QuerySet[Client]) -> QuerySet[Client, int]:
    return queryset.values_list("pk", flat=True)[:MAX_FOUND]


def in_batches(clients: QuerySet[Client]) -> Iterator[Client]:
    """Yield clients, the oldest first, with one batch in memory at a time.

    `QuerySet.iterator` keeps all rows: PostgreSQL's cursors are off, because of PgBouncer.
    """
    last = 0
    while batch := list(clients.filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield from batch
        last = batch[-1].pk
