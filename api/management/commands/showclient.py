"""Show a client and its credentials."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from api.client_records import credentials, describe
from api.management.finding import find_client
from api.management.output import print_json


class Command(BaseCommand):
    help = "Prints a client and its credentials, with their last use, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")

    def handle(self, *args: Any, **options: Any) -> None:
        client = find_client(options["client_id"])
        print_json(self.stdout, describe(client) | {"credentials": credentials(client)})
