"""What a login and a verification need to know of a client: one query each.

Both are on the path of every request, so they are written out in SQL and build no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, connection
from django.utils import timezone

from api.hashers import GeneratedSecretHasher

LAST_USED_PRECISION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ClientState:
    """What the database says of a client, or of somebody of the staff, at one moment.

    `pk` is 0 if there is no such row. `secret_hashes` are those that are good now: the
    current one, then the retired one in its grace period. `generation` counts how often all tokens
    of the client were revoked.
    """

    client_id: str
    pk: int
    is_active: bool
    secret_hashes: tuple[str, ...]
    generation: int
    is_staff: bool = False
    groups: tuple[str, ...] = ()
    was_used_recently: bool = False


# Times are compared by the database and never read: how it writes them depends on its settings.
_COLUMNS = """
    client.id AS pk, client.is_active, client.password AS secret_hash,
    retired.hash AS retired_hash, generation.number AS generation
"""
_TABLES = """
    auth_user AS client
    LEFT JOIN api_retiredsecret AS retired ON retired.client_id = client.id
        AND retired.replaced_by = client.password AND retired.expires_at > %(now)s
    LEFT JOIN api_tokengeneration AS generation ON generation.client_id = client.id
"""
_LOGIN = f"""
    SELECT {_COLUMNS}, client.last_login > %(recently)s AS was_used_recently, scope.name AS scope,
        client.is_staff OR client.is_superuser AS is_staff
    FROM {_TABLES}
    LEFT JOIN auth_user_groups AS membership ON membership.user_id = client.id
        AND %(secret_hash)s IN ('', client.password, retired.hash)
    LEFT JOIN auth_group AS scope ON scope.id = membership.group_id
    WHERE client.username = %(client_id)s
"""  # noqa: S608 (made of constants)
_VERIFICATION = f"""
    SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM api_revokedtoken WHERE jti = %(jti)s) AS is_revoked
    FROM {_TABLES}
    WHERE client.username = %(client_id)s AND NOT client.is_staff AND NOT client.is_superuser
"""  # noqa: S608 (made of constants)

# Dummy row for unknown clients, so that the response takes equally long.
_UNKNOWN_CLIENT = {
    "pk": 0,
    "is_active": False,
    "is_staff": False,
    "secret_hash": f"{GeneratedSecretHasher.algorithm}${64 * '-'}",
    "retired_hash": None,
    "generation": None,
    "was_used_recently": None,
    "scope": None,
}


def look_up_for_login(client_id: str, *, secret_hash: str = "") -> ClientState:
    """Return what a login needs to know of a client. An unknown one has a state whose `pk` is 0.

    If a `secret_hash` is given, groups are read only where it is one of the client's: how many they
    are must not show in the time of a refusal. Beside a slow hash it does not show.
    """
    now = timezone.now()
    params = {
        "client_id": client_id,
        "secret_hash": secret_hash,
        "now": _timestamp(now),
        "recently": _timestamp(now - LAST_USED_PRECISION),
    }
    rows = _fetch(_LOGIN, params) or [_UNKNOWN_CLIENT]
    return _state(
        client_id,
        rows[0],
        is_staff=bool(rows[0]["is_staff"]),
        groups=tuple(sorted(row["scope"] for row in rows if row["scope"])),
        was_used_recently=bool(rows[0]["was_used_recently"]),
    )


def look_up_for_token(client_id: str, *, jti: str) -> ClientState | None:
    """Return what verifying a token needs to know of its client.

    `None` if the client is unknown, or if the token itself has been revoked.
    """
    now = _timestamp(timezone.now())
    rows = _fetch(_VERIFICATION, {"client_id": client_id, "jti": jti, "now": now})
    if not rows or rows[0]["is_revoked"]:
        return None
    return _state(client_id, rows[0])


def _fetch(sql: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
    database: Any = connection  # either of our backends
    try:
        rows: list[dict[str, Any]] = database.fetch_rows(sql, params)
    except DataError:  # a character that the database's encoding lacks, so no client has this id
        return []
    return rows


def _timestamp(moment: datetime) -> str:
    """Write a time in the one form that PostgreSQL always reads, and SQLite compares as text."""
    return moment.isoformat(" ", "microseconds")


def _state(client_id: str, row: Mapping[str, Any], **more: Any) -> ClientState:
    current, retired = row["secret_hash"], row["retired_hash"]
    return ClientState(
        client_id=client_id,
        pk=row["pk"],
        is_active=bool(row["is_active"]),  # SQLite has whole numbers for booleans
        secret_hashes=(current, retired) if retired else (current,),
        generation=row["generation"] or 0,
        **more,
    )
