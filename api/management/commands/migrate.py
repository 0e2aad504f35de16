"""Django's `migrate`, one process at a time. Only this command creates an SQLite file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        database: Any = connections[options["database"]]
        lock = _postgresql_lock if database.vendor == "postgresql" else _sqlite_lock
        with lock(database):
            super().handle(*args, **options)


@contextmanager
def _postgresql_lock(database: Any) -> Iterator[None]:
    """Wait until no other `migrate` runs.

    A separate transaction holds the lock: behind PgBouncer a session lasts no longer than a
    transaction. It turns off the database's timeouts, which could end the wait or the lock.
    """
    keeper = database.copy()
    try:
        keeper.set_autocommit(False)
        with keeper.cursor() as cursor:
            for timeout in ("statement", "lock", "idle_in_transaction_session"):
                cursor.execute(f"SET LOCAL {timeout}_timeout = 0")
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('authdemo migrate'))")
        yield
    finally:
        keeper.close()


@contextmanager
def _sqlite_lock(database: Any) -> Iterator[None]:
    """Create the file if it is missing, and wait until no other `migrate` runs on it."""
    if database.is_in_memory_db():
        yield
        return
    path = Path(database.settings_dict["NAME"])
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise CommandError(
            f"The database {path} cannot be written ({error.strerror}). "
            "Set DATABASE_URL to a place where it can."
        ) from error
    directory = os.open(path.absolute().parent, os.O_RDONLY)  # SQLite itself locks the file
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with database.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")  # the file itself remembers this
        yield
    finally:
        os.close(directory)
