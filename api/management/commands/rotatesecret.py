"""Give a client a new secret and print it, once."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from api.clients import MAX_GRACE, SecretChangedError, grace_end, rotate_secret
from api.management.durations import ahead, duration
from api.management.finding import find_client
from api.management.output import describe_expiry, print_credentials
from api.management.records import record_change


class Command(BaseCommand):
    help = "Gives a client a new secret and prints it, once, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        when = parser.add_mutually_exclusive_group(required=True)
        when.add_argument(
            "--grace",
            type=duration,
            help=f"how long the old secret stays good, such as 24h; at most {MAX_GRACE.days}d",
        )
        when.add_argument(
            "--now", action="store_true", help="end the old secret and its tokens at once"
        )
        parser.add_argument(
            "--expires", type=ahead, help="when the new secret ends, such as 90d or 2030-12-31"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        client = find_client(options["client_id"])
        ended = grace_end(client)
        try:
            with transaction.atomic():
                secret = rotate_secret(
                    client, grace=options["grace"], expires_at=options["expires"]
                )
                print_credentials(
                    self.stdout,
                    client_id=client.username,
                    client_secret=secret,
                    **describe_expiry(client),
                )
        except SecretChangedError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        record_change("secret_rotated", client=client.username)
        if ended:
            self.stderr.write("An older secret was still in its grace period; it has ended now.")
