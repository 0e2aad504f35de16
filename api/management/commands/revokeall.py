"""End all tokens and what makes new ones, for example after a restore or an intrusion."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils.translation import ngettext

from api import keys, tokens
from api.management.records import record_change
from api.models import Client, RetiredSecret


class Command(BaseCommand):
    help = "Ends all tokens, signing keys, retired secrets and staff sessions at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--clients",
            action="store_true",
            help="also deactivate all clients, whatever they log in with",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            key = keys.rotate(immediately=True)
            RetiredSecret.objects.all().delete()
            Session.objects.all().delete()
            deactivated = _deactivate_clients() if options["clients"] else 0
        record_change("all_revoked", kid=key.kid, deactivated=deactivated)
        clients = ngettext("client", "clients", deactivated)
        self.stdout.write(f"{deactivated} {clients} deactivated; key {key.kid} signs from now on")


def _deactivate_clients() -> int:
    """Deactivate all clients, and return how many were active."""
    count = Client.objects.filter(is_active=True).update(is_active=False)
    tokens.revoke_all(Client.objects.all())
    return count
