"""Find what a command names."""

from django.core.management.base import CommandError

from api import client_records
from api.models import Client


def find_client(client_id: str, *, lock: bool = False) -> Client:
    """Return a client, as `client_records.find` does. Raises `CommandError`."""
    try:
        return client_records.find(client_id, lock=lock)
    except Client.DoesNotExist:
        raise CommandError(f"There is no client {client_id!r}.") from None
