"""Read rows by Django's ordinary cursor, from either database."""

from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

Params = Mapping[str, str]  # for placeholders such as `%(name)s`
Rows = list[dict[str, Any]]  # by the names of their columns


def fetch_by_cursor(database: BaseDatabaseWrapper, sql: str, params: Params) -> Rows:
    with database.cursor() as cursor:
        cursor.execute(sql, params)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
