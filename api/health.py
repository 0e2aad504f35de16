"""Readiness: whether the service can work. Callers learn only yes or no."""

import mmap
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from api import keys

# Shared memory: granian forks its workers from the process that gets the signal.
_draining = mmap.mmap(-1, 1)


class DrainingError(Exception):
    """The service is about to stop. The message tells the caller."""


class NotMigratedError(Exception):
    """The database lacks migrations that this code needs."""


def check_readiness() -> None:
    """Check that the service goes on, the database, its migrations and the signing key.

    Raises `DrainingError`, `NotMigratedError`, `NoSigningKeyError` or a database error.
    """
    if is_draining():
        raise DrainingError("The service is draining: it answers, and is about to stop.")
    database: Any = connection  # either of our backends
    database.fetch_rows("SELECT 1", {})
    _check_migrations()
    keys.signing_key()


def start_draining() -> None:
    """Be not ready from now on, in this process and its workers."""
    _draining[0] = 1


def is_draining() -> bool:
    return bool(_draining[0])


@lru_cache(maxsize=1)
def _check_migrations() -> None:
    """Check the migrations. Success is cached: they stay applied. Raises `NotMigratedError`."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotMigratedError("The database lacks migrations; run `manage.py migrate`.")
