"""Django's `runserver`. It starts without a database, and warns if tokens name another issuer."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles.management.commands import runserver
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError


class Command(runserver.Command):
    port: str  # read from the arguments by `handle`

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        # WhiteNoise serves static files. Django's own handler finds none below a path.
        parser.set_defaults(use_static_handler=False)

    def run(self, **options: Any) -> None:
        if int(self.port) > 65535:
            raise CommandError(f"{self.port} is not a valid port number.")
        super().run(**options)

    def check_migrations(self) -> None:
        """Print Django's notice, or the database error. An exception would hang the reloader."""
        try:
            super().check_migrations()
        except DatabaseError as error:
            self.stderr.write(str(error).partition("\n")[0])

    def on_bind(self, server_port: int) -> None:
        super().on_bind(server_port)
        issuer = urlsplit(settings.PUBLIC_URL)
        if not settings.IS_LOCAL or issuer.scheme != "http" or (issuer.port or 80) != server_port:
            self.stderr.write(
                f"Tokens name {settings.ISSUER} as their issuer, not this server. "
                f"To change that, set PUBLIC_URL=http://localhost:{server_port}."
            )
