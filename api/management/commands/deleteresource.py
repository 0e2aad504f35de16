"""Delete a resource: an API that accepts our tokens."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from api import resources
from api.management.output import print_json
from api.management.questions import add_question_arguments, confirm
from api.management.records import record_change


class Command(BaseCommand):
    help = "Deletes an API. Clients get no more tokens for it. Prints it as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("identifier")
        add_question_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            resource = resources.find(options["identifier"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        clients = resource.clients.count()
        if not options["dry_run"]:
            question = f"Delete {resource.identifier} (clients: {clients})?"
            confirm(question, options, self.stderr)
            resource.delete()
            record_change("resource_deleted", resource=resource.identifier)
        shown = {"resource": resource.identifier, "name": resource.name, "clients": clients}
        print_json(self.stdout, shown)
