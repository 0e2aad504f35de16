"""Write clients so that `importclients` can read them."""

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from api.client_records import profile_of, resources, scopes
from api.client_search import in_batches
from api.management.output import print_lines
from api.models import Client

DETAILS = ("groups", "resource_grants__resource", "client_keys", "identities__issuer")


class Command(BaseCommand):
    help = "Prints the clients as JSON lines: hashes of secrets, keys, identities, scopes and APIs."

    def handle(self, *args: Any, **options: Any) -> None:
        print_lines(self.stdout, self._lines())

    def _lines(self) -> Iterator[str]:
        clients = Client.objects.select_related("profile").prefetch_related(*DETAILS)
        for client in in_batches(clients):
            credentials = _credentials(client)
            if not credentials:
                self.stderr.write(f"{client.username!r}: It has no credential.")
                continue
            yield json.dumps(_describe(client) | credentials)


def _describe(client: Client) -> dict[str, Any]:
    default = [grant.resource for grant in client.resource_grants.all() if grant.is_default]
    granted = {
        "resources": " ".join(sorted(resource.identifier for resource in resources(client))),
        "default_resource": "".join(resource.identifier for resource in default),
        "token_endpoint_auth_method": profile_of(client).auth_method,
    }
    return {
        "client_id": client.username,
        "client_name": client.first_name,
        "scope": " ".join(sorted(scopes(client))),
        "active": client.is_active,
        **{name: value for name, value in granted.items() if value},
    }


def _credentials(client: Client) -> dict[str, Any]:
    """Return what the client logs in with. A key that has expired is left out."""
    found: dict[str, Any] = {}
    if client.has_usable_password():
        found["client_secret_hash"] = client.password
        if expires_at := profile_of(client).secret_expires_at:
            found["client_secret_expires_at"] = int(expires_at.timestamp())
    now = timezone.now()
    keys = [
        {"jwk": key.jwk, "name": key.name}
        | ({"expires_at": int(key.expires_at.timestamp())} if key.expires_at else {})
        for key in client.client_keys.all()
        if not key.expires_at or key.expires_at > now
    ]
    identities = [
        {"issuer": one.issuer.url, "subject": one.subject, "claims": one.claims}
        for one in client.identities.all()
    ]
    others = {"keys": keys, "identities": identities}
    return found | {name: rows for name, rows in others.items() if rows}
