"""Give a client a public key, with which it signs assertions."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from api import client_keys
from api.jose import UnusableKeyError
from api.management.durations import ahead
from api.management.finding import find_client
from api.management.key_files import KEY_FILE, read_keys
from api.management.output import print_credentials
from api.management.records import record_change


class Command(BaseCommand):
    help = "Gives a client a public key and prints its key id, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        parser.add_argument("file", help=KEY_FILE)
        parser.add_argument("--name", default="", help="name for people to read")
        parser.add_argument(
            "--expires", type=ahead, help="when the key ends, such as 90d or 2030-12-31"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = read_keys(options["file"])
        client = find_client(options["client_id"])
        try:
            with transaction.atomic():
                added = client_keys.add(
                    client, given, name=options["name"], expires_at=options["expires"]
                )
                kids = [key.kid for key in added]
                print_credentials(self.stdout, client_id=client.username, kids=kids)
        except UnusableKeyError as error:
            raise CommandError(str(error)) from error
        for kid in kids:
            record_change("key_added", client=client.username, kid=kid)
