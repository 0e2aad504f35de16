"""Create a client and print its credentials, once."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from api import audit
from api.clients import create_client
from api.management.output import print_credentials


class Command(BaseCommand):
    help = "Creates a client and prints its id and secret, once, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id", nargs="?", help="generated if not given; may be a URL")
        parser.add_argument("--name", default="", help="name for people to read")
        parser.add_argument(
            "--scope", action="append", default=[], help="a scope of the client; repeat for several"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["client_id"] == "":
            raise CommandError("The client id is empty. Omit it to generate one.")
        try:
            with transaction.atomic():
                client, secret = create_client(
                    options["client_id"], name=options["name"], scopes=options["scope"]
                )
                print_credentials(
                    self.stdout,
                    client_id=client.username,
                    client_secret=secret,
                    scope=" ".join(sorted(options["scope"])),
                )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        audit.record("client_created", client=client.username)
