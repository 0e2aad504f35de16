"""Set up and serve everything that the walk-through needs."""

import json
import secrets
import socket
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from api.credentials import create_client

CLIENT_ID, CLIENT_SECRET = "foo", "bar"
STAFF = "admin"


class Command(BaseCommand):
    help = "Migrates, makes client foo with secret bar and a staff account, and runs the server."

    def handle(self, *args: Any, **options: Any) -> None:
        url = settings.PUBLIC_URL
        if not settings.IS_LOCAL:
            raise CommandError("Everybody knows the demo's secret, so PUBLIC_URL must be local.")
        if settings.IS_HTTPS:
            raise CommandError(
                "The demo cannot serve https; set PUBLIC_URL to http://localhost:PORT."
            )
        address = urlsplit(url)
        host, port = str(address.hostname), address.port or 80
        if _is_in_use(host, port):
            raise CommandError(
                f"Port {port} is in use; set PUBLIC_URL=http://localhost:PORT to use another."
            )
        self._print(
            f"Migrating the database {connection.settings_dict['NAME']}, which takes a moment "
            "the first time."
        )
        call_command("migrate", verbosity=0)
        self._make_client()
        password = self._make_staff()
        credentials = json.dumps({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
        self._print(
            f"Serving {url}/ until you press Control-C. Open it in a browser, or try this in "
            "another terminal:",
            f"  curl {url}/public",
            "  curl --header 'Content-Type: application/json' --request POST \\",
            f"    --data '{credentials}' {url}/login",
            f"Admin: {url}/admin/ as {STAFF}, password {password}",
        )
        served = address.netloc if address.port else f"{address.netloc}:{port}"
        call_command("runserver", served, use_reloader=False)

    def _make_client(self) -> None:
        client = User.objects.filter(username=CLIENT_ID).first()
        if client is None:
            self._print(f"Making client {CLIENT_ID} with secret {CLIENT_SECRET}.")
            create_client(CLIENT_ID, name="Demo", secret=CLIENT_SECRET)
        elif client.is_active and check_password(CLIENT_SECRET, client.password):
            self._print(f"Client {CLIENT_ID} with secret {CLIENT_SECRET} is there already.")
        else:
            self._print(
                f"Keeping client {CLIENT_ID}, which is inactive or has another secret than "
                f"{CLIENT_SECRET}. To have the demo's again, delete it in the admin and restart."
            )

    def _make_staff(self) -> str:
        """Make the staff account if there is none. Return its password, or where to find it."""
        if User.objects.filter(username=STAFF).exists():
            return "as shown at the first start (`manage.py changepassword admin` sets a new one)"
        self._print(f"Making staff account {STAFF}.")
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser(STAFF, password=password)
        return password

    def _print(self, *lines: str) -> None:
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def _is_in_use(host: str, port: int) -> bool:
    """Tell whether a server listens on the port, on any address of the host."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
