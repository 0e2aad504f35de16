"""Read the state of a client in one query, for a login or for a token verification.

Every request runs one of them, so they are written in SQL and build no model. A login for a
resource runs a second query.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DataError, connection
from django.utils import timezone

from api import identifiers
from api.hashers import GeneratedSecretHasher

LAST_USED_PRECISION = timedelta(hours=1)
KEY_USED_PRECISION = timedelta(minutes=1)
ISSUER_KEYS_FRESH = timedelta(minutes=5)
ISSUER_RETRY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ClientState:
    """The state of a client, or of a member of staff, at one moment.

    `pk` is 0 if there is no such row. `secret_hashes` are the hashes that are good now: the current
    one, then the retired one in its grace period. `generation` counts how often all tokens of the
    client were revoked. `auth_method` is the only method it may use, or empty. `grant_id` and
    `resource_server` are those of a token for a resource: the client's grant, and the id of the
    client that is the resource's server.
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
    secret_was_used_recently: bool = False
    auth_method: str = ""
    default_resource: str | None = None
    grant_id: int = 0
    resource_server: str | None = None


@dataclass(frozen=True, slots=True)
class GrantedResource:
    """A resource that a client may get tokens for. Without `scopes`, it understands all."""

    grant_id: int
    identifier: str
    scopes: frozenset[str] = frozenset()


class StoredKey(NamedTuple):
    """A key of a client that has not expired, as stored."""

    pk: int
    jwk: str
    was_used_recently: bool


@dataclass(frozen=True, slots=True)
class IssuerState:
    """A trusted issuer and its keys at one moment.

    `is_given` means that staff gave the keys. Otherwise `jwks` has the fetched ones, and the rest
    says how old they are, whether a fetch was tried lately, and whether the last one has failed or
    still runs. `jwks` is empty if they have been kept for too long.
    """

    pk: int
    url: str
    audience: str
    is_internal: bool
    jwks: str
    is_given: bool
    is_fresh: bool
    is_recent: bool
    was_tried: bool
    has_failed: bool


class StoredIdentity(NamedTuple):
    """A workload identity, as stored, and its issuer."""

    pk: int
    claims: Mapping[str, str]
    was_used_recently: bool
    issuer: IssuerState


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
_LOGIN_COLUMNS = f"""
    {_COLUMNS}, client.last_login > %(recently)s AS was_used_recently,
    profile.secret_used_at > %(recently)s AS secret_was_used_recently, profile.auth_method,
    client.is_staff, NOT client.is_staff AND NOT client.is_superuser AS is_client,
    (
        SELECT resource.identifier FROM api_resourcegrant AS granted
        JOIN api_resource AS resource ON resource.id = granted.resource_id
        WHERE granted.client_id = client.id AND granted.is_default
    ) AS default_resource
"""  # noqa: S608 (made of constants)
_LOGIN_TABLES = f"""
    {_TABLES}
    LEFT JOIN api_clientprofile AS profile ON profile.client_id = client.id
"""
_LOGIN = f"""
    SELECT {_LOGIN_COLUMNS}, scope.name AS scope
    FROM {_LOGIN_TABLES}
    LEFT JOIN auth_user_groups AS membership ON membership.user_id = client.id
        AND %(secret_hash)s IN ('', client.password, retired.hash)
    LEFT JOIN auth_group AS scope ON scope.id = membership.group_id
    WHERE client.username = %(client_id)s
"""  # noqa: S608 (made of constants)
# All scopes in one column, so that there is one row per key.
_SCOPES = """(
    SELECT CAST({json_array}(scope.name) AS text) FROM auth_user_groups AS membership
    JOIN auth_group AS scope ON scope.id = membership.group_id
    WHERE membership.user_id = client.id
)"""
_JSON_ARRAY = {"postgresql": "json_agg", "sqlite": "json_group_array"}
_KEY_LOGIN = f"""
    SELECT {_LOGIN_COLUMNS}, held.id AS key_pk, CAST(held.jwk AS text) AS jwk,
        held.last_used_at > %(key_recently)s AS key_was_used_recently,
        CASE WHEN held.id IS NOT NULL THEN {_SCOPES} END AS scopes
    FROM {_LOGIN_TABLES}
    LEFT JOIN api_clientkey AS held ON held.client_id = client.id
        AND %(kid)s IN ('', held.kid, held.jwk_kid)
        AND (held.expires_at IS NULL OR held.expires_at > %(now)s)
    WHERE client.username = %(client_id)s
    ORDER BY held.id DESC
"""  # noqa: S608 (made of constants)
_KEY_LOGINS = {
    vendor: _KEY_LOGIN.format(json_array=function) for vendor, function in _JSON_ARRAY.items()
}
_IDENTITY_LOGIN = f"""
    SELECT {_LOGIN_COLUMNS}, client.username AS client_id, {_SCOPES} AS scopes,
        identity.id AS identity_pk, CAST(identity.claims AS text) AS claims,
        identity.last_used_at > %(key_recently)s AS identity_was_used_recently,
        issuer.id AS issuer_pk, issuer.audience, issuer.is_internal,
        issuer.given_jwks <> '' AS is_given,
        CASE WHEN issuer.given_jwks <> '' THEN issuer.given_jwks
            WHEN issuer.fetched_at > %(kept)s THEN issuer.fetched_jwks ELSE '' END AS jwks,
        issuer.fetched_at > %(fresh)s AS is_fresh, issuer.fetched_at > %(recent)s AS is_recent,
        issuer.tried_at > %(tried)s AS was_tried,
        issuer.tried_at > issuer.fetched_at AS has_failed
    FROM api_trustedissuer AS issuer, api_workloadidentity AS identity, {_LOGIN_TABLES}
    WHERE issuer.url = %(issuer)s AND identity.issuer_id = issuer.id
        AND identity.subject = %(subject)s AND client.id = identity.client_id
"""  # noqa: S608 (made of constants)
_IDENTITY_LOGINS = {
    vendor: _IDENTITY_LOGIN.format(json_array=function) for vendor, function in _JSON_ARRAY.items()
}
_CREDENTIALS = {
    "": "",  # a secret, which is compared by its hash
    "key": """ AND EXISTS (
        SELECT 1 FROM api_clientkey AS held
        WHERE held.client_id = client.id AND CAST(held.id AS text) = %(credential_pk)s
            AND (held.expires_at IS NULL OR held.expires_at > %(now)s)
    )""",
    "identity": """ AND EXISTS (
        SELECT 1 FROM api_workloadidentity AS held
        WHERE held.client_id = client.id AND CAST(held.id AS text) = %(credential_pk)s
    )""",
}
_RESOURCE_COLUMNS = ", granted.id AS grant_id, server.username AS resource_server"
_RESOURCE_TABLES = """
    JOIN api_resource AS resource ON resource.identifier = %(resource)s
    JOIN api_resourcegrant AS granted ON granted.resource_id = resource.id
        AND granted.client_id = client.id
    LEFT JOIN auth_user AS server ON server.id = resource.server_id
"""
# By the kind of credential that a token was obtained with, and whether it is for a resource.
_VERIFICATIONS = {
    (kind, for_resource): f"""
    SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM api_revokedtoken WHERE jti = %(jti)s) AS is_revoked
        {_RESOURCE_COLUMNS if for_resource else ""}
    FROM {_TABLES} {_RESOURCE_TABLES if for_resource else ""}
    WHERE client.username = %(client_id)s AND NOT client.is_staff AND NOT client.is_superuser
        {is_held}
"""  # noqa: S608 (made of constants)
    for kind, is_held in _CREDENTIALS.items()
    for for_resource in (False, True)
}
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
    "secret_was_used_recently": None,
    "auth_method": None,
    "scope": None,
    "default_resource": None,
    "scopes": None,
    "key_pk": None,
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
    return _login_state(client_id, rows[0], [row["scope"] for row in rows if row["scope"]])


def look_up_for_assertion(client_id: str, *, kid: str) -> tuple[ClientState, list[StoredKey]]:
    """Return the state of a client for a login, and its keys with this name; the newest first.

    An empty `kid` asks for all keys. Groups are read only if there is a key.
    """
    now = timezone.now()
    params = {
        "client_id": client_id,
        "kid": kid,
        "now": _timestamp(now),
        "recently": _timestamp(now - LAST_USED_PRECISION),
        "key_recently": _timestamp(now - KEY_USED_PRECISION),
    }
    rows = _fetch(_KEY_LOGINS[connection.vendor], params) or [_UNKNOWN_CLIENT]
    client = _login_state(client_id, rows[0], json.loads(rows[0]["scopes"] or "[]"))
    held = [
        StoredKey(row["key_pk"], row["jwk"], bool(row["key_was_used_recently"]))
        for row in rows
        if row["key_pk"]
    ]
    return client, held


def look_up_for_identity(issuer: str, subject: str) -> tuple[ClientState, StoredIdentity] | None:
    """Return the state of the client that a subject of a trusted issuer is, and its identity."""
    now = timezone.now()
    params = {
        "issuer": issuer,
        "subject": subject,
        "now": _timestamp(now),
        "recently": _timestamp(now - LAST_USED_PRECISION),
        "key_recently": _timestamp(now - KEY_USED_PRECISION),
        "fresh": _timestamp(now - ISSUER_KEYS_FRESH),
        "recent": _timestamp(now - 2 * ISSUER_KEYS_FRESH),
        "kept": _timestamp(now - settings.ISSUER_KEYS_KEPT),
        "tried": _timestamp(now - ISSUER_RETRY),
    }
    rows = _fetch(_IDENTITY_LOGINS[connection.vendor], params)
    if not rows:
        return None
    row = rows[0]
    flags = ("is_internal", "is_given", "is_fresh", "is_recent", "was_tried", "has_failed")
    state = IssuerState(
        pk=row["issuer_pk"],
        url=issuer,
        audience=row["audience"],
        jwks=row["jwks"],
        **{flag: bool(row[flag]) for flag in flags},
    )
    was_used_recently = bool(row["identity_was_used_recently"])
    claims = json.loads(row["claims"])
    identity = StoredIdentity(row["identity_pk"], claims, was_used_recently, state)
    return _login_state(row["client_id"], row, json.loads(row["scopes"] or "[]")), identity


def look_up_for_token(
    client_id: str, *, jti: str, credential: str = "", resource: str | None = None
) -> ClientState | None:
    """Return the state of a token's client, or `None` if there is none or the token has ended.

    `credential` names the key or the identity that the token was obtained with, such as `key:17`;
    it is empty for a secret. For a token for a `resource`, also return `None` if the client is not
    granted it.
    """
    kind, _, credential_pk = credential.partition(":")
    sql = _VERIFICATIONS.get((kind, resource is not None))
    if sql is None:
        return None
    params = {"client_id": client_id, "jti": jti, "now": _timestamp(timezone.now())}
    if kind:
        params["credential_pk"] = credential_pk
    if resource is not None:
        params["resource"] = resource
    rows = _fetch(sql, params)
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


def _login_state(client_id: str, row: Mapping[str, Any], groups: Iterable[str]) -> ClientState:
    return _state(
        client_id,
        row,
        is_staff=bool(row["is_staff"]),
        is_client=bool(row["is_client"]),
        groups=tuple(sorted(groups)),
        was_used_recently=bool(row["was_used_recently"]),
        secret_was_used_recently=bool(row["secret_was_used_recently"]),
        auth_method=row["auth_method"] or "",
        default_resource=row["default_resource"],
    )


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
