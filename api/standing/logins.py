"""The queries of a login: by secret, by key, by workload identity, and for a resource."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from api import identifiers
from api.hashers import GeneratedSecretHasher
from api.standing.rows import COLUMNS, JOINS, TABLES, fetch, seconds, state, timestamp
from api.standing.states import (
    ClientState,
    GrantedResource,
    IssuerState,
    StoredIdentity,
    StoredKey,
)

ISSUER_KEYS_FRESH = timedelta(minutes=5)
ISSUER_RETRY = timedelta(seconds=30)

_LOGIN_COLUMNS = f"""
    {COLUMNS}, profile.auth_method, client.is_staff,
    NOT client.is_staff AND NOT client.is_superuser AS is_client,
    (
        SELECT resource.identifier FROM api_resourcegrant AS granted
        JOIN api_resource AS resource ON resource.id = granted.resource_id
        WHERE granted.client_id = client.id AND granted.is_default
    ) AS default_resource
"""  # noqa: S608 (made of constants)
_PROFILE = "LEFT JOIN api_clientprofile AS profile ON profile.client_id = client.id"
# An unknown client has a row too, of nulls: to find and read none would show in the time.
_LOGIN_TABLES = f"""
    (SELECT 1) AS always LEFT JOIN auth_user AS client ON client.username = %(client_id)s
    {JOINS} {_PROFILE}
"""
_LOGIN = f"""
    SELECT {_LOGIN_COLUMNS}, scope.name AS scope,
        {{secret_ends_at}} AS secret_ends_at, {{retired_ends_at}} AS retired_ends_at
    FROM {_LOGIN_TABLES}
    LEFT JOIN auth_user_groups AS membership ON membership.user_id = client.id
        AND %(secret_hash)s IN ('', client.password, retired.hash)
    LEFT JOIN auth_group AS scope ON scope.id = membership.group_id
"""  # noqa: S608 (made of constants)
_LOGINS = {
    vendor: _LOGIN.format(
        secret_ends_at=seconds(vendor, "profile.secret_expires_at"),
        retired_ends_at=seconds(vendor, "retired.expires_at"),
    )
    for vendor in ("postgresql", "sqlite")
}
# All scopes in one column, so that there is one row per key.
_SCOPES = """(
    SELECT CAST({json_array}(scope.name) AS text) FROM auth_user_groups AS membership
    JOIN auth_group AS scope ON scope.id = membership.group_id
    WHERE membership.user_id = client.id
)"""
_JSON_ARRAY = {"postgresql": "json_agg", "sqlite": "json_group_array"}
_KEY_LOGIN = f"""
    SELECT {_LOGIN_COLUMNS}, held.id AS key_pk, CAST(held.jwk AS text) AS jwk,
        {{key_ends_at}} AS key_ends_at,
        CASE WHEN held.id IS NOT NULL THEN {_SCOPES} END AS scopes
    FROM {_LOGIN_TABLES}
    LEFT JOIN api_clientkey AS held ON held.client_id = client.id
        AND %(kid)s IN ('', held.kid, held.jwk_kid)
        AND (held.expires_at IS NULL OR held.expires_at > %(now)s)
    ORDER BY held.id DESC
"""  # noqa: S608 (made of constants)
_KEY_LOGINS = {
    vendor: _KEY_LOGIN.format(json_array=function, key_ends_at=seconds(vendor, "held.expires_at"))
    for vendor, function in _JSON_ARRAY.items()
}
_IDENTITY_LOGIN = f"""
    SELECT {_LOGIN_COLUMNS}, client.username AS client_id, {_SCOPES} AS scopes,
        identity.id AS identity_pk, CAST(identity.claims AS text) AS claims,
        issuer.id AS issuer_pk, issuer.audience, issuer.is_internal,
        issuer.given_jwks <> '' AS is_given,
        CASE WHEN issuer.given_jwks <> '' THEN issuer.given_jwks
            WHEN issuer.fetched_at > %(kept)s THEN issuer.fetched_jwks ELSE '' END AS jwks,
        issuer.fetched_at > %(fresh)s AS is_fresh, issuer.fetched_at > %(recent)s AS is_recent,
        issuer.tried_at > %(tried)s AS was_tried,
        issuer.tried_at > issuer.fetched_at AS has_failed
    FROM api_trustedissuer AS issuer, api_workloadidentity AS identity, {TABLES} {_PROFILE}
    WHERE issuer.url = %(issuer)s AND identity.issuer_id = issuer.id
        AND identity.subject = %(subject)s AND client.id = identity.client_id
"""  # noqa: S608 (made of constants)
_IDENTITY_LOGINS = {
    vendor: _IDENTITY_LOGIN.format(json_array=function) for vendor, function in _JSON_ARRAY.items()
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
    "secret_ends_at": None,
    "retired_ends_at": None,
    "generation": None,
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
    params = {
        "client_id": client_id,
        "secret_hash": secret_hash,
        "now": timestamp(timezone.now()),
    }
    rows = _fetch(_LOGINS[connection.vendor], params)
    ends = (rows[0]["secret_ends_at"], rows[0]["retired_ends_at"])
    groups = [row["scope"] for row in rows if row["scope"]]
    return _login_state(client_id, rows[0], groups, secret_ends=ends)


def look_up_for_assertion(client_id: str, *, kid: str) -> tuple[ClientState, list[StoredKey]]:
    """Return the state of a client for a login, and its keys with this name; the newest first.

    An empty `kid` asks for all keys. Groups are read only if there is a key.
    """
    params = {
        "client_id": client_id,
        "kid": kid,
        "now": timestamp(timezone.now()),
    }
    rows = _fetch(_KEY_LOGINS[connection.vendor], params)
    client = _login_state(client_id, rows[0], json.loads(rows[0]["scopes"] or "[]"))
    held = [
        StoredKey(row["key_pk"], row["jwk"], row["key_ends_at"]) for row in rows if row["key_pk"]
    ]
    return client, held


def look_up_for_identity(issuer: str, subject: str) -> tuple[ClientState, StoredIdentity] | None:
    """Return the client that a subject of a trusted issuer belongs to, and its identity."""
    now = timezone.now()
    params = {
        "issuer": issuer,
        "subject": subject,
        "now": timestamp(now),
        "fresh": timestamp(now - ISSUER_KEYS_FRESH),
        "recent": timestamp(now - 2 * ISSUER_KEYS_FRESH),
        "kept": timestamp(now - settings.ISSUER_KEYS_KEPT),
        "tried": timestamp(now - ISSUER_RETRY),
    }
    rows = fetch(_IDENTITY_LOGINS[connection.vendor], params)
    if not rows:
        return None
    row = rows[0]
    flags = ("is_internal", "is_given", "is_fresh", "is_recent", "was_tried", "has_failed")
    issuer_state = IssuerState(
        pk=row["issuer_pk"],
        url=issuer,
        audience=row["audience"],
        jwks=row["jwks"],
        **{flag: bool(row[flag]) for flag in flags},
    )
    identity = StoredIdentity(row["identity_pk"], json.loads(row["claims"]), issuer_state)
    return _login_state(row["client_id"], row, json.loads(row["scopes"] or "[]")), identity


def look_up_resource(client_id: str, identifier: str) -> GrantedResource | None:
    """Return a resource by its identifier, or `None` if the client is not granted it."""
    one, other = identifiers.spellings(identifier)
    rows = fetch(_RESOURCE, {"client_id": client_id, "one": one, "other": other})
    if not rows:
        return None
    scopes = frozenset(row["scope"] for row in rows if row["scope"])
    return GrantedResource(rows[0]["grant_id"], rows[0]["identifier"], scopes)


def _fetch(sql: str, params: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    rows = fetch(sql, params)
    return rows if rows and rows[0]["pk"] else [_UNKNOWN_CLIENT]


def _login_state(
    client_id: str, row: Mapping[str, Any], groups: Iterable[str], **more: Any
) -> ClientState:
    return state(
        client_id,
        row,
        is_staff=bool(row["is_staff"]),
        is_client=bool(row["is_client"]),
        groups=tuple(sorted(groups)),
        auth_method=row["auth_method"] or "",
        default_resource=row["default_resource"],
        **more,
    )
