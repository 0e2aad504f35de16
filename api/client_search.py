"""Find clients among a million, on both databases. Each search has an index (migration 0002)."""

import sys
from collections.abc import Iterator
from datetime import datetime

from django.db import connection
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Collate, Upper
from django.utils import timezone

from api import identifiers
from api.models import Client, ClientKey, ClientProfile, ResourceGrant

MAX_FOUND = 1000  # clients that a search for a text selects
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
        span = {"gt": timezone.now(), "lt": expiring_before}
        secrets = ClientProfile.objects.filter(
            **{f"secret_expires_at__{bound}": moment for bound, moment in span.items()}
        )
        keys = ClientKey.objects.filter(
            **{f"expires_at__{bound}": moment for bound, moment in span.items()}
        )
        clients = clients.filter(
            Q(pk__in=secrets.values("client_id")) | Q(pk__in=keys.values("client_id"))
        )
    return clients


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
