"""Find clients among a million, on both databases. Each search has an index."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Collate, Upper
from django.utils import timezone

from api import identifiers
from api.models import Client, ClientKey, ClientProfile, ResourceGrant

MAX_FOUND = 1000  # clients that a search for a text selects, or for what expires
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

    `scope` and `resource` are names that the client has been
    granted. A client is `unused_since` a time if it existed then and has not logged in since. It is
    `expiring_before` a time if its secret or one of its keys, good now, expires before.
    """
    clients = Client.objects.all()
    if active is not None:
        clients = clients.filter(is_active=active)
    if scope:
        clients = clients.filter(groups__name=scope)
    if resource:
        spellings = identifiers.spellings(resource)
        granted = ResourceGrant.objects.filter(resource__identifier__in=spellings)
        clients = clients.filter(pk__in=granted.values("client_id"))
    if unused_since is not None:
        never = Q(last_login=None, date_joined__lt=unused_since)
        clients = clients.filter(never | Q(last_login__lt=unused_since))
    if expiring_before is not None:
        rows = _expiring(gt=timezone.now(), lt=expiring_before)
        secrets, keys = (found.order_by().values("client_id") for found in rows)
        # `OR` instead of a union would look through all clients.
        clients = clients.filter(pk__in=secrets.union(keys))
    return clients


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
