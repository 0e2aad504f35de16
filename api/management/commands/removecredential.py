"""End one credential of a client."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from api.client_changes import NoSuchCredentialError, end_credential
from api.client_records import credentials
from api.clients import SecretChangedError
from api.management.finding import find_client
from api.management.output import print_json
from api.management.records import actor


class Command(BaseCommand):
    help = "Ends a credential of a client, and its tokens. Prints those that are left, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        parser.add_argument(
            "credential", help="its id, such as `previous_secret` or `key:17`; `showclient` tells"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        client = find_client(options["client_id"])
        try:
            end_credential(client, options["credential"], actor=actor())
        except NoSuchCredentialError:
            held = ", ".join(one["id"] for one in credentials(client)) or "none"
            raise CommandError(
                f"The client has no credential {options['credential']!r}. It has: {held}."
            ) from None
        except SecretChangedError as error:
            raise CommandError(str(error)) from error
        left = credentials(client)
        print_json(self.stdout, {"client_id": client.username, "credentials": left})
