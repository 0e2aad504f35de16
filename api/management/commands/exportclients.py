"""Write the clients that log in with a secret, so that `importclients` can read them.

One that must use a key may have a secret too, which would be good after the import: a file says
nothing of keys and methods.
"""

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand

from api.client_keys import METHOD
from api.client_records import profile_of, scopes
from api.client_search import in_batches
from api.management.output import print_lines
from api.models import Client


class Command(BaseCommand):
    help = "Prints the clients that log in with a secret as JSON lines, with its hash."

    def handle(self, *args: Any, **options: Any) -> None:
        print_lines(self.stdout, self._lines())

    def _lines(self) -> Iterator[str]:
        clients = Client.objects.select_related("profile").prefetch_related("groups")
        for client in in_batches(clients):
            profile = profile_of(client)
            if profile.auth_method == METHOD or not client.has_usable_password():
                self.stderr.write(f"{client.username!r}: It logs in without a secret.")
                continue
            described = {
                "client_id": client.username,
                "client_name": client.first_name,
                "scope": " ".join(sorted(scopes(client))),
                "active": client.is_active,
                "client_secret_hash": client.password,
            }
            if expires_at := profile.secret_expires_at:
                described["client_secret_expires_at"] = int(expires_at.timestamp())
            yield json.dumps(described)
