"""Everything that the walk-through needs, in one command."""

import json
import secrets
import socket
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from api.credentials import create_client
from api.models import Client

CLIENT_ID, CLIENT_SECRET = "foo", "bar"
STAFF = "admin"


class Command(BaseCommand):
    help = "Migrates, makes client foo with secret bar and a staff account, and runs the server."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IS_LOCAL:
            raise CommandError("The demo's secret is no secret: PUBLIC_URL must be local.")
        port = urlsplit(settings.PUBLIC_URL).port or 8000
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                raise CommandError(
                    f"Port {port} is taken; PUBLIC_URL=http://localhost:PORT chooses another."
                )
        call_command("migrate", verbosity=0)
        if not Client.objects.filter(username=CLIENT_ID).exists():
            create_client(CLIENT_ID, name="Demo", secret=CLIENT_SECRET)
        url = settings.PUBLIC_URL
        credentials = json.dumps({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
        lines = [
            f"Open {url}/ in a browser, or try:",
            f"  curl {url}/public",
            "  curl --header 'Content-Type: application/json' --request POST \\",
            f"    --data '{credentials}' {url}/login",
            f"Admin: {url}/admin/ as {STAFF}, password {self._staff_password()}",
        ]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()
        call_command("runserver", str(port), use_reloader=False)

    def _staff_password(self) -> str:
        """Make the staff account, if there is none yet, and return its password to be shown."""
        if User.objects.filter(username=STAFF).exists():
            return "as shown at the first start (`manage.py changepassword admin` sets another)"
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser(STAFF, password=password)
        return password
