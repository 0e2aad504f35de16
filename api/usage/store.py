"""Write a batch of usage, with one statement for each table and 10,000 rows."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import DataError, connection, transaction
from django.utils import timezone

from api.models import Client, ClientUsage, UsageTotal
from api.usage.batch import UNKNOWN, Batch, Counts

ROWS_AT_ONCE = 10_000  # of one statement, which takes a small part of the time it has
DELETED_AT_ONCE = 1_000  # rows that are too old, at each write; 10,000 clients make fewer meanwhile

# Processes write one after another, or they would lock the same rows in different orders. The
# limits are below the deadline of our connections, which would count as an outage.
_WAIT_FOR_OTHERS = """
    SET LOCAL lock_timeout = '2s';
    SET LOCAL statement_timeout = '2500ms';
    SELECT pg_advisory_xact_lock(7238412)
"""
# All rows are one parameter: SQLite has a limit on how many there are.
_ROWS = {
    "postgresql": """
        json_to_recordset(%s::json) AS noted(
            id bigint, hash text, used timestamptz, address text,
            hour timestamptz, outcome text, count bigint
        )
    """,
    "sqlite": """(
        SELECT json_extract(value, '$.id') AS id, json_extract(value, '$.hash') AS hash,
            json_extract(value, '$.used') AS used, json_extract(value, '$.address') AS address,
            json_extract(value, '$.hour') AS hour, json_extract(value, '$.outcome') AS outcome,
            json_extract(value, '$.count') AS count
        FROM json_each(%s)
    ) AS noted""",
}
# A row that is gone is not made again. Times only grow: processes write in any order.
_CLIENTS = """
    UPDATE auth_user SET last_login = noted.used FROM {rows}
    WHERE auth_user.id = noted.id
        AND (auth_user.last_login IS NULL OR auth_user.last_login < noted.used)
"""
_SECRETS = """
    INSERT INTO api_clientprofile (client_id, auth_method, secret_used_at)
    SELECT noted.id, '', noted.used FROM {rows}
    JOIN auth_user AS client ON client.id = noted.id AND client.password = noted.hash
    WHERE true
    ON CONFLICT (client_id) DO UPDATE SET secret_used_at = excluded.secret_used_at
    WHERE api_clientprofile.secret_used_at IS NULL
        OR api_clientprofile.secret_used_at < excluded.secret_used_at
"""
_PREVIOUS_SECRETS = """
    UPDATE api_retiredsecret SET last_used_at = noted.used, last_used_from = noted.address
    FROM {rows}
    WHERE api_retiredsecret.client_id = noted.id AND api_retiredsecret.hash = noted.hash
        AND (api_retiredsecret.last_used_at IS NULL OR api_retiredsecret.last_used_at < noted.used)
"""
_KEYS = """
    UPDATE api_clientkey SET last_used_at = noted.used FROM {rows}
    WHERE api_clientkey.id = noted.id
        AND (api_clientkey.last_used_at IS NULL OR api_clientkey.last_used_at < noted.used)
"""
_IDENTITIES = _KEYS.replace("api_clientkey", "api_workloadidentity")
_STATEMENTS = {  # by kind of credential
    "secret": _SECRETS,
    "previous_secret": _PREVIOUS_SECRETS,
    "key": _KEYS,
    "identity": _IDENTITIES,
}
_COUNTS = """
    INSERT INTO api_clientusage (client_id, hour, outcome, count)
    SELECT noted.id, noted.hour, noted.outcome, noted.count FROM {rows}
    JOIN auth_user AS client ON client.id = noted.id
    WHERE NOT client.is_staff AND NOT client.is_superuser
    ON CONFLICT (client_id, hour, outcome)
    DO UPDATE SET count = api_clientusage.count + excluded.count
"""
_TOTALS = """
    INSERT INTO api_usagetotal (hour, outcome, count)
    SELECT noted.hour, noted.outcome, noted.count FROM {rows}
    WHERE true
    ON CONFLICT (hour, outcome) DO UPDATE SET count = api_usagetotal.count + excluded.count
"""


def write(batch: Batch) -> None:
    """Add a batch to the database, all or nothing, and delete some rows that are too old."""
    counts = Counter(batch.counts) + _by_client(batch.named_counts)
    totals: Counter[tuple[int, int, str]] = Counter()
    for (_, hour, outcome), times in counts.items():
        totals[UNKNOWN, hour, outcome] += times
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_WAIT_FOR_OTHERS)
        _write_uses(batch)
        _execute(_COUNTS, _count_rows(counts))
        _execute(_TOTALS, _count_rows(totals))
        _delete_old()


def _by_client(named_counts: Counts) -> Counter[tuple[int, int, str]]:
    """Return these counts by the primary keys of the clients. One query."""
    names = {name for name, _, _ in named_counts}
    try:
        clients = Client.objects.filter(username__in=names).values_list("username", "pk")
        known = dict(clients) if names else {}
    except DataError:  # the database's encoding lacks a character
        known = {}
    counts: Counter[tuple[int, int, str]] = Counter()
    for (name, hour, outcome), times in named_counts.items():
        counts[known.get(name, UNKNOWN), hour, outcome] += times
    return counts


def _write_uses(batch: Batch) -> None:
    clients: dict[int, int] = {}
    by_kind: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _STATEMENTS}
    for use, (minute, address) in batch.uses.items():
        clients[use.client_pk] = max(minute, clients.get(use.client_pk, 0))
        kind, _, pk = use.credential.partition(":")
        row = {"id": int(pk) if pk else use.client_pk, "used": _time(60 * minute)}
        by_kind[kind].append(row | {"hash": use.secret_hash, "address": address})
    _execute(_CLIENTS, [{"id": pk, "used": _time(60 * used)} for pk, used in clients.items()])
    for kind, rows in by_kind.items():
        _execute(_STATEMENTS[kind], rows)


def _count_rows(counts: Counts) -> list[dict[str, Any]]:
    return [
        {"id": client, "hour": _time(3600 * hour), "outcome": outcome, "count": times}
        for (client, hour, outcome), times in counts.items()
    ]


def _time(seconds: int) -> str:
    """Return a time as the database writes it."""
    return str(connection.ops.adapt_datetimefield_value(datetime.fromtimestamp(seconds, UTC)))


def _execute(sql: str, rows: list[dict[str, Any]]) -> None:
    with connection.cursor() as cursor:
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            text = json.dumps(rows[begin : begin + ROWS_AT_ONCE])
            cursor.execute(sql.format(rows=_ROWS[connection.vendor]), [text])


def _delete_old() -> None:
    then = timezone.now() - settings.USAGE_KEPT
    old = ClientUsage.objects.filter(hour__lt=then).order_by("hour")
    ClientUsage.objects.filter(pk__in=old.values("pk")[:DELETED_AT_ONCE]).delete()
    UsageTotal.objects.filter(hour__lt=then).delete()
