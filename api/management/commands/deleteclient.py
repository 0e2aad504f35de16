"""Delete a client."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from api import client_changes
from api.client_records import credentials, describe
from api.management.finding import find_client
from api.management.output import print_json
from api.management.questions import add_question_arguments, confirm
from api.management.records import actor


class Command(BaseCommand):
    help = "Deletes a client with its credentials and tokens, and prints what it was, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        add_question_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        client = find_client(options["client_id"])
        described = describe(client) | {"credentials": credentials(client)}
        if not options["dry_run"]:
            used = described["last_used_at"] or "never"
            confirm(f"Delete client {client.username} (last used: {used})?", options, self.stderr)
            client_changes.delete(client, actor=actor())
        print_json(self.stdout, described)
