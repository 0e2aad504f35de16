"""Whether the service can do its work; strangers learn no more than yes or no."""

from functools import lru_cache

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from api import keys


class NotMigratedError(Exception):
    """The database lacks migrations that this code needs."""


def demand_readiness() -> None:
    """Check the database, its migrations and the signing key.

    Raises `NotMigratedError`, `NoSigningKeyError`, or what the database does.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _demand_migrations()
    keys.signing_key()


@lru_cache(maxsize=1)
def _demand_migrations() -> None:
    """Looked at until they are applied; then this process's code and the tables agree for good."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotMigratedError("The database lacks migrations; run `manage.py migrate`.")
