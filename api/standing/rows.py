"""The columns and tables that all the queries share, and how their rows are read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import DataError, connection

from api.standing.states import ClientState

# The database compares times and returns none: its settings decide how it writes them.
COLUMNS = """
    client.id AS pk, client.is_active, client.password AS secret_hash,
    retired.hash AS retired_hash, generation.number AS generation
"""
JOINS = """
    LEFT JOIN api_retiredsecret AS retired ON retired.client_id = client.id
        AND retired.replaced_by = client.password AND retired.expires_at > %(now)s
    LEFT JOIN api_tokengeneration AS generation ON generation.client_id = client.id
"""
TABLES = f"auth_user AS client {JOINS}"


def fetch(sql: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
    database: Any = connection  # either of our backends
    try:
        rows: list[dict[str, Any]] = database.fetch_rows(sql, params)
    except DataError:  # the database's encoding lacks a character, so no client has this id
        return []
    return rows


def timestamp(moment: datetime) -> str:
    """Format a time so that PostgreSQL always parses it and SQLite can compare it as text."""
    return moment.isoformat(" ", "microseconds")


def seconds(vendor: str, column: str) -> str:
    """Return the SQL for a time in whole seconds since 1970, whatever the database's settings."""
    if vendor == "postgresql":
        return f"CAST(FLOOR(EXTRACT(EPOCH FROM {column})) AS bigint)"
    return f"CAST(strftime('%%s', {column}) AS integer)"


def state(client_id: str, row: Mapping[str, Any], **more: Any) -> ClientState:
    current, retired = row["secret_hash"], row["retired_hash"]
    return ClientState(
        client_id=client_id,
        pk=row["pk"],
        is_active=bool(row["is_active"]),  # SQLite stores booleans as integers
        secret_hashes=(current, retired) if retired else (current,),
        generation=row["generation"] or 0,
        **more,
    )
