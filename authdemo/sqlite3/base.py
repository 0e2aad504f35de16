"""Django's SQLite backend, for a file that may be removed at any moment.

SQLite itself would make an empty database where the file is missing, and go on reading and writing
a file that has been removed. Only `migrate` makes a file.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base, features

from authdemo.rows import Params, Rows, fetch_by_cursor


class DatabaseFeatures(features.DatabaseFeatures):
    supports_json_field = True  # Django would open the database to find out, in every command


class DatabaseWrapper(base.DatabaseWrapper):
    """Opens a file that is there, and goes on with it only while it is."""

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
                f"There is no database {name}; `manage.py migrate` makes it."
            )
        return super().get_new_connection(conn_params)

    def fetch_rows(self, sql: str, params: Params) -> Rows:
        """Return the rows of a read, as the other backend does."""
        return fetch_by_cursor(self, sql, params)

    def is_usable(self) -> bool:
        return self._opened == self._identity()

    def _identity(self) -> tuple[int, int] | None:
        """Return what tells one file from the next; `None` for one in memory, or none at all."""
        try:
            status = os.stat(self.settings_dict["NAME"])  # noqa: PTH116 (at each request)
        except OSError:
            return None
        return status.st_dev, status.st_ino
