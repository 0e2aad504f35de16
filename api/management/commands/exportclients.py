"""Write all clients, so that `importclients` can read them."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from api.models import Client
from api.scopes import is_scope


class Command(BaseCommand):
    help = "Prints all clients as JSON lines, with the hashes of their secrets."

    def handle(self, *args: Any, **options: Any) -> None:
        clients = Client.objects.order_by("pk").prefetch_related("groups")
        for client in clients.iterator(chunk_size=1000):
            scopes = sorted(group.name for group in client.groups.all() if is_scope(group.name))
            described = {
                "client_id": client.username,
                "client_name": client.first_name,
                "scope": " ".join(scopes),
                "active": client.is_active,
                "client_secret_hash": client.password,
            }
            self.stdout.write(json.dumps(described))
