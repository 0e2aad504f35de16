"""Read rows as dictionaries, from SQLite or PostgreSQL."""

from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

Params = Mapping[str, str]  # for placeholders such as `%(name)s`
Rows = list[dict[str, Any]]  # by column name


def fetch_by_cursor(database: BaseDatabaseWrapper, sql: str, params: Params) -> Rows:
    with database.cursor() as cursor:
        cursor.execute(sql, params)
        return read_rows(cursor)


def read_rows(cursor: Any) -> Rows:
    """Return the rows of an executed cursor (PEP 249)."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def is_instrumented(database: BaseDatabaseWrapper) -> bool:
    """Tell whether a tool, such as a tracer, observes the statements of Django's cursors."""
    return bool(
        database.queries_logged
        or database.execute_wrappers
        or "cursor" in vars(database)  # Django Debug Toolbar, and Django's own tests
        or hasattr(CursorWrapper.execute, "__wrapped__")  # Sentry
    )
