"""Django's `migrate`, which is the one thing that makes an SQLite file."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection: Any = connections[options["database"]]
        if connection.vendor == "sqlite" and not connection.is_in_memory_db():
            try:
                Path(connection.settings_dict["NAME"]).touch(mode=0o600)
            except OSError as error:
                raise CommandError(f"The database cannot be made: {error}") from error
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")  # the file itself remembers this
        super().handle(*args, **options)
