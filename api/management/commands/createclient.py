"""Make a client and print its credentials, which are shown this once."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from api import audit
from api.credentials import create_client


class Command(BaseCommand):
    help = "Creates a client and prints its id and secret, once, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id", nargs="?", help="generated if not given")
        parser.add_argument("--name", default="", help="name to show people")
        parser.add_argument("--scope", action="append", default=[], help="may be given repeatedly")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            client, secret = create_client(
                options["client_id"], name=options["name"], scopes=options["scope"]
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        audit.record("client_created", client=client.username)
        shown = {
            "client_id": client.username,
            "client_secret": secret,
            "scope": " ".join(sorted(options["scope"])),
        }
        self.stdout.write(json.dumps(shown))
