"""Readiness: whether the service can work. Callers learn only yes or no."""

from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from api import keys


class NotMigratedError(Exception):
    """The database lacks migrations that this code needs."""


class ReadOnlyDatabaseError(Exception):
    """The database takes no writes: logins work, revocations do not."""


def check_readiness() -> None:
    """Check the database, its migrations and the signing key.

    Raises `ReadOnlyDatabaseError`, `NotMigratedError`, `NoSigningKeyError` or a database error.
    """
    database: Any = connection  # either of our backends
    if database.is_read_only():
        raise ReadOnlyDatabaseError("The database is read-only.")
    _check_migrations()
    keys.signing_key()


@lru_cache(maxsize=1)
def _check_migrations() -> None:
    """Check the migrations. Success is cached: they stay applied. Raises `NotMigratedError`."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotMigratedError("The database lacks migrations; run `manage.py migrate`.")
