"""Rotate the signing keys."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from api import keys
from api.management.records import record_change


class Command(BaseCommand):
    help = "Publishes a new signing key. It signs after all verifiers had time to fetch it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--now",
            action="store_true",
            help="for a leaked key: sign with the new key at once, and refuse all earlier tokens",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            key = keys.rotate(immediately=options["now"])
        except (keys.RotationPendingError, keys.UndecryptableKeyError) as error:
            raise CommandError(str(error)) from error
        record_change("key_rotated", kid=key.kid, algorithm=key.algorithm)
        self.stdout.write(f"{key.algorithm} key {key.kid} signs from {key.signs_from.isoformat()}")
