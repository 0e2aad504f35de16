"""Write the clients that log in with a secret, so that `importclients` can read them.

One that must use a key may have a secret too, which would be good after the import: a file says
nothing of keys and methods.
"""

import json
from typing import Any

from django.core.management.base import BaseCommand

from api.client_keys import METHOD
from api.models import Client, ClientProfile
from api.scopes import is_scope


class Command(BaseCommand):
    help = "Prints the clients that log in with a secret as JSON lines, with its hash."

    def handle(self, *args: Any, **options: Any) -> None:
        clients = Client.objects.order_by("pk").select_related("profile")
        clients = clients.prefetch_related("groups")
        for client in clients.iterator(chunk_size=1000):
            profile = getattr(client, "profile", None) or ClientProfile()
            if profile.auth_method == METHOD or not client.has_usable_password():
                self.stderr.write(f"{client.username!r}: It logs in without a secret.")
                continue
            scopes = sorted(group.name for group in client.groups.all() if is_scope(group.name))
            described = {
                "client_id": client.username,
                "client_name": client.first_name,
                "scope": " ".join(scopes),
                "active": client.is_active,
                "client_secret_hash": client.password,
            }
            if expires_at := profile.secret_expires_at:
                described["client_secret_expires_at"] = int(expires_at.timestamp())
            self.stdout.write(json.dumps(described))
