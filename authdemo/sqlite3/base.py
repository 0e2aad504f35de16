"""Django's SQLite backend, for a file that may be removed at any moment.

SQLite itself would create an empty database if the file is missing, and keep using a file that has
been removed. Here only `migrate` creates the file.
"""

import math
import os
import sqlite3
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base, features

from authdemo.rows import Params, Rows, fetch_by_cursor, is_instrumented, read_rows


@lru_cache(maxsize=16)  # the statements of api.standing
def _named(sql: str, params: tuple[str, ...]) -> str:
    """Write placeholders such as `%(name)s` as SQLite's `:name`."""
    return sql % {name: f":{name}" for name in params}


class Cursor(base.SQLiteCursorWrapper):
    """Compares whole numbers of any size, as PostgreSQL does. Python binds none above 64 bits."""

    def execute(self, query: str, params: Any = None) -> Any:
        try:
            return super().execute(query, params)
        except OverflowError:
            if not query.startswith("SELECT"):  # what is stored stays as it is
                raise
            return super().execute(query, list(map(_comparable, params)))


def _comparable(value: Any) -> Any:
    """Return infinity for a number above 64 bits: it compares with all others in the same way."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return math.copysign(math.inf, 1 if value > 0 else -1)
    return value


class DatabaseFeatures(features.DatabaseFeatures):
    supports_json_field = True  # Django would open the database in every command to find out


class DatabaseWrapper(base.DatabaseWrapper):
    """Opens only an existing file, and reconnects if the file was removed or replaced."""

    features_class = DatabaseFeatures
    _opened: tuple[int, int] | None = None

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if not self.is_in_memory_db():
            path = Path(self.settings_dict["NAME"]).absolute()
            params["database"] = f"{path.as_uri()}?mode=rw"
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._opened = self._identity()
        if self._opened is None and not self.is_in_memory_db():
            name = self.settings_dict["NAME"]
            raise sqlite3.OperationalError(
                f"There is no database {name}; `manage.py migrate` creates it."
            )
        return super().get_new_connection(conn_params)

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=Cursor)

    def fetch_rows(self, sql: str, params: Params) -> Rows:
        """Return the rows of a read.

        It bypasses Django's cursor, which costs 2 % of /login and 5 % of /private. It uses that
        cursor in a transaction and if something instruments the cursors.
        """
        self.validate_thread_sharing()
        self.close_if_health_check_failed()
        self.ensure_connection()
        is_traced = type(self.connection) is not sqlite3.Connection  # OpenTelemetry
        if self.in_atomic_block or is_traced or is_instrumented(self):
            return fetch_by_cursor(self, sql, params)
        with self.wrap_database_errors:
            return read_rows(self.connection.execute(_named(sql, tuple(params)), params))

    def is_usable(self) -> bool:
        return self._opened == self._identity()

    def is_read_only(self) -> bool:
        """Tell whether nobody may write the file. Opens and reads it."""
        self.fetch_rows("SELECT 1", {})
        return not (self.is_in_memory_db() or os.access(self.settings_dict["NAME"], os.W_OK))

    def _identity(self) -> tuple[int, int] | None:
        """Return the identity of the file, or `None` if it is missing or in memory."""
        try:
            status = os.stat(self.settings_dict["NAME"])  # noqa: PTH116 (faster; runs at each request)
        except OSError:
            return None
        return status.st_dev, status.st_ino
