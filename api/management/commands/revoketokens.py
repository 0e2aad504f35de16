"""End the tokens of a client, and leave its credentials as they are."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from api import client_changes
from api.management.finding import find_client
from api.management.records import actor


class Command(BaseCommand):
    help = "Ends all tokens of a client. It can log in again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")

    def handle(self, *args: Any, **options: Any) -> None:
        client_changes.revoke_tokens(find_client(options["client_id"]), actor=actor())
