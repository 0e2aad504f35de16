"""Read rows by Django's ordinary cursor, from either database."""

from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

Params = Mapping[str, str]  # for placeholders such as `%(name)s`
Rows = list[dict[str, Any]]  # by the names of their columns


def fetch_by_cursor(database: BaseDatabaseWrapper, sql: str, params: Params) -> Rows:
    with database.cursor() as cursor:
        cursor.execute(sql, params)
        return read_rows(cursor)


def read_rows(cursor: Any) -> Rows:
    """Return the rows of an executed cursor (PEP 249)."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def is_watched(database: BaseDatabaseWrapper) -> bool:
    """Tell whether somebody looks at what goes through Django's cursors."""
    return bool(
        database.queries_logged
        or database.execute_wrappers
        or "cursor" in vars(database)  # Django Debug Toolbar, and Django's own tests
        or hasattr(CursorWrapper.execute, "__wrapped__")  # Sentry
    )
