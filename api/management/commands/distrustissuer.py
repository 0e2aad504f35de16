"""Trust an issuer no longer."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from api.management.output import print_json
from api.management.questions import add_question_arguments, confirm
from api.management.records import record_change
from api.models import TrustedIssuer


class Command(BaseCommand):
    help = "Deletes a trusted issuer with its identities, whose tokens end. Prints it as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", help="what the `iss` of its tokens says, to the letter")
        add_question_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        issuer = TrustedIssuer.objects.filter(url=options["url"]).first()
        if issuer is None:
            raise CommandError(f"There is no trusted issuer {options['url']!r}.")
        identities = issuer.identities.count()
        if not options["dry_run"]:
            confirm(f"Delete {issuer.url} (identities: {identities})?", options, self.stderr)
            issuer.delete()
            record_change("issuer_deleted", issuer=issuer.url)
        shown = {"issuer": issuer.url, "name": issuer.name, "identities": identities}
        print_json(self.stdout, shown)
