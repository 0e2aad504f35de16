"""Find clients among a million, on both databases.

Each search has an index (migrations 0002 and 0009).
"""

import re
import sys
from datetime import datetime

from django.db import connection
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Collate, Upper
from django.utils import timezone

from api import identifiers
from api.models import Client, ClientKey, ClientProfile, ResourceGrant

MAX_FOUND = 1000  # clients that a search for a text selects
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
