"""Readiness: whether the service can work. Callers learn only yes or no."""

from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from api import keys


class NotMigratedError(Exception):
    """The database lacks migrations that this code needs."""


def check_readiness() -> None:
    """Check the database, its migrations and the signing key.

    Raises `NotMigratedError`, `NoSigningKeyError` or a database error.
    """
    database: Any = connection  # either of our backends
    database.fetch_rows("SELECT 1", {})
    _check_migrations()
    keys.signing_key()


@lru_cache(maxsize=1)
def _check_migrations() -> None:
    """Check the migrations. Success is cached: they stay applied. Raises `NotMigratedError`."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotMigratedError("The database lacks migrations; run `manage.py migrate`.")
