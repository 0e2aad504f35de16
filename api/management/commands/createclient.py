"""Create a client and print its credentials, once. It has a secret, or keys, or nothing yet."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from api import client_keys, resources
from api.credentials import NO_SECRET, create_client
from api.jose import UnusableKeyError
from api.management.durations import ahead
from api.management.key_files import KEY_FILE, read_keys
from api.management.output import describe_expiry, print_credentials
from api.management.records import record_change


class Command(BaseCommand):
    help = "Creates a client and prints its id and secret, once, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id", nargs="?", help="generated if not given; may be a URL")
        parser.add_argument("--name", default="", help="name for people to read")
        parser.add_argument(
            "--scope", action="append", default=[], help="a scope of the client; repeat for several"
        )
        proof = parser.add_mutually_exclusive_group()
        proof.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="FILE",
            help=f"{KEY_FILE}, instead of a secret; repeat for several",
        )
        proof.add_argument(
            "--no-secret",
            action="store_true",
            help="for a client that gets keys or identities later",
        )
        parser.add_argument(
            "--expires",
            type=ahead,
            help="when the secret or the keys end, such as 90d or 2030-12-31",
        )
        parser.add_argument(
            "--resource",
            action="append",
            default=[],
            metavar="IDENTIFIER",
            help="an API that the client may call; repeat for several",
        )
        parser.add_argument(
            "--default-resource",
            metavar="IDENTIFIER",
            help="the API that tokens are for if the client names none; else this service",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["client_id"] == "":
            raise CommandError("The client id is empty. Omit it to generate one.")
        if options["expires"] and options["no_secret"]:
            raise CommandError("Without a secret or a key there is nothing that could expire.")
        given = [key for file in options["key"] for key in read_keys(file)]
        try:
            with transaction.atomic():
                client, secret = create_client(
                    options["client_id"],
                    name=options["name"],
                    scopes=options["scope"],
                    secret=NO_SECRET if given or options["no_secret"] else None,
                    secret_expires_at=options["expires"],
                )
                granted = [resources.find(one) for one in options["resource"]]
                default = options["default_resource"]
                resources.set_grants(
                    client, granted, None if default is None else resources.find(default)
                )
                added = client_keys.add(client, given, expires_at=options["expires"])
                kids = [key.kid for key in added]
                proof: dict[str, str | list[str]] = {"kids": kids, "client_secret": secret}
                print_credentials(
                    self.stdout,
                    client_id=client.username,
                    **{name: value for name, value in proof.items() if value},
                    **describe_expiry(client),
                    scope=" ".join(sorted(options["scope"])),
                )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        except UnusableKeyError as error:
            raise CommandError(str(error)) from error
        record_change("client_created", client=client.username)
