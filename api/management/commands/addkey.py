"""Give a client a public key, with which it signs assertions."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from api import audit, client_keys
from api.jose import UnusableKeyError
from api.management.durations import moment
from api.management.key_files import KEY_FILE, read_keys
from api.management.output import print_credentials
from api.models import Client


class Command(BaseCommand):
    help = "Gives a client a public key and prints its key id, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        parser.add_argument("file", help=KEY_FILE)
        parser.add_argument("--name", default="", help="name for people to read")
        parser.add_argument(
            "--expires", type=moment, help="when the key ends, such as 90d or 2030-12-31"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = read_keys(options["file"])
        try:
            client = Client.objects.get(username=options["client_id"])
            with transaction.atomic():
                added = client_keys.add(
                    client, given, name=options["name"], expires_at=options["expires"]
                )
                kids = [key.kid for key in added]
                print_credentials(self.stdout, client_id=client.username, kids=kids)
        except Client.DoesNotExist:
            raise CommandError(f"There is no client {options['client_id']!r}.") from None
        except UnusableKeyError as error:
            raise CommandError(str(error)) from error
        for kid in kids:
            audit.record("key_added", client=client.username, kid=kid)
