"""Read the state of a client in one query, for a login or for a token verification.

Every request runs one of them, so they are written in SQL and build no model. A login for a
resource runs a second query.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, connection
from django.utils import timezone

from api import identifiers
from api.hashers import GeneratedSecretHasher

LAST_USED_PRECISION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ClientState:
    """The state of a client, or of a member of staff, at one moment.

    `pk` is 0 if there is no such row. `secret_hashes` are the hashes that are good now: the current
    one, then the retired one in its grace period. `generation` counts how often all tokens of the
    client were revoked. `grant_id` and `resource_server` are those of a token for a resource:
    the client's grant, and the id of the client that is the resource's server.
    """

    client_id: str
    pk: int
    is_active: bool
    secret_hashes: tuple[str, ...]
    generation: int
    is_staff: bool = False
    is_client: bool = True
    groups: tuple[str, ...] = ()
    was_used_recently: bool = False
    default_resource: str | None = None
    grant_id: int = 0
    resource_server: str | None = None


@dataclass(frozen=True, slots=True)
class GrantedResource:
    """A resource that a client may get tokens for. Without `scopes`, it understands all."""

    grant_id: int
    identifier: str
    scopes: frozenset[str] = frozenset()


# The database compares times and returns none: its settings decide how it writes them.
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
        client.is_staff, NOT client.is_staff AND NOT client.is_superuser AS is_client,
        (
            SELECT resource.identifier FROM api_resourcegrant AS granted
            JOIN api_resource AS resource ON resource.id = granted.resource_id
            WHERE granted.client_id = client.id AND granted.is_default
        ) AS default_resource
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
_VERIFICATION_FOR_RESOURCE = f"""
    SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM api_revokedtoken WHERE jti = %(jti)s) AS is_revoked,
        granted.id AS grant_id, server.username AS resource_server
    FROM {_TABLES}
    JOIN api_resource AS resource ON resource.identifier = %(resource)s
    JOIN api_resourcegrant AS granted ON granted.resource_id = resource.id
        AND granted.client_id = client.id
    LEFT JOIN auth_user AS server ON server.id = resource.server_id
    WHERE client.username = %(client_id)s AND NOT client.is_staff AND NOT client.is_superuser
"""  # noqa: S608 (made of constants)
_RESOURCE = """
    SELECT granted.id AS grant_id, resource.identifier, scope.name AS scope
    FROM api_resource AS resource
    JOIN api_resourcegrant AS granted ON granted.resource_id = resource.id
    JOIN auth_user AS client ON client.id = granted.client_id
    LEFT JOIN api_resource_scopes AS understood ON understood.resource_id = resource.id
    LEFT JOIN auth_group AS scope ON scope.id = understood.group_id
    WHERE resource.identifier IN (%(one)s, %(other)s) AND client.username = %(client_id)s
"""

# Dummy row for unknown clients, so that the response takes equally long.
_UNKNOWN_CLIENT = {
    "pk": 0,
    "is_active": False,
    "is_staff": False,
    "is_client": True,
    "secret_hash": f"{GeneratedSecretHasher.algorithm}${64 * '-'}",
    "retired_hash": None,
    "generation": None,
    "was_used_recently": None,
    "scope": None,
    "default_resource": None,
}


def look_up_for_login(client_id: str, *, secret_hash: str = "") -> ClientState:
    """Return the state of a client for a login. For an unknown client, `pk` is 0.

    With a `secret_hash`, groups are read only if it is one of the client's: their number must not
    show in the time of a refusal. Without one, the time of the slow hash hides it.
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
        is_client=bool(rows[0]["is_client"]),
        groups=tuple(sorted(row["scope"] for row in rows if row["scope"])),
        was_used_recently=bool(rows[0]["was_used_recently"]),
        default_resource=rows[0]["default_resource"],
    )


def look_up_for_token(
    client_id: str, *, jti: str, resource: str | None = None
) -> ClientState | None:
    """Return the state of a token's client, or `None` if it is unknown or the token is revoked.

    For a token for a `resource`, also return `None` if the client is not granted it.
    """
    params = {"client_id": client_id, "jti": jti, "now": _timestamp(timezone.now())}
    if resource is None:
        rows = _fetch(_VERIFICATION, params)
    else:
        rows = _fetch(_VERIFICATION_FOR_RESOURCE, {**params, "resource": resource})
    if not rows or rows[0]["is_revoked"]:
        return None
    of_resource = ("grant_id", "resource_server") if resource else ()
    return _state(client_id, rows[0], **{name: rows[0][name] for name in of_resource})


def look_up_resource(client_id: str, identifier: str) -> GrantedResource | None:
    """Return a resource by its identifier, or `None` if the client is not granted it."""
    one, other = identifiers.spellings(identifier)
    rows = _fetch(_RESOURCE, {"client_id": client_id, "one": one, "other": other})
    if not rows:
        return None
    scopes = frozenset(row["scope"] for row in rows if row["scope"])
    return GrantedResource(rows[0]["grant_id"], rows[0]["identifier"], scopes)


def _fetch(sql: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
    database: Any = connection  # either of our backends
    try:
        rows: list[dict[str, Any]] = database.fetch_rows(sql, params)
    except DataError:  # the database's encoding lacks a character, so no client has this id
        return []
    return rows


def _timestamp(moment: datetime) -> str:
    """Format a time so that PostgreSQL always parses it and SQLite can compare it as text."""
    return moment.isoformat(" ", "microseconds")


def _state(client_id: str, row: Mapping[str, Any], **more: Any) -> ClientState:
    current, retired = row["secret_hash"], row["retired_hash"]
    return ClientState(
        client_id=client_id,
        pk=row["pk"],
        is_active=bool(row["is_active"]),  # SQLite stores booleans as integers
        secret_hashes=(current, retired) if retired else (current,),
        generation=row["generation"] or 0,
        **more,
    )
