"""Create a resource: an API that accepts our tokens."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from api.management.records import record_change
from api.resources import create_resource


class Command(BaseCommand):
    help = "Creates an API that accepts tokens of this service, and prints it as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("identifier", help="an absolute URI; the audience of its tokens")
        parser.add_argument("--name", default="", help="name for people to read")
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            help="a scope that the API understands; repeat for several; without one, it gets all",
        )
        parser.add_argument(
            "--server",
            metavar="CLIENT_ID",
            help="the client that is its server, and may introspect its tokens",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            resource = create_resource(
                options["identifier"],
                name=options["name"],
                scopes=options["scope"],
                server=options["server"],
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        record_change("resource_created", resource=resource.identifier)
        shown = {
            "resource": resource.identifier,
            "scope": " ".join(sorted(set(options["scope"]))),
            "server": options["server"],
        }
        self.stdout.write(json.dumps(shown))
