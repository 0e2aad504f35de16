"""Let a workload log in as a client, with the token that its platform gives it."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from api.management.finding import find_client
from api.management.records import record_change
from api.models import TrustedIssuer
from api.trust import add_identity, parse_claim


class Command(BaseCommand):
    help = "Lets a subject of a trusted issuer log in as a client."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        parser.add_argument("issuer", help="the URL of a trusted issuer")
        parser.add_argument("subject", help="what the `sub` of its token says, to the letter")
        parser.add_argument(
            "--claim",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a further claim that the token must have; repeat for several",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        client = find_client(options["client_id"])
        try:
            issuer = TrustedIssuer.objects.get(url=options["issuer"])
            claims = dict(map(parse_claim, options["claim"]))
            identity = add_identity(client, issuer, options["subject"], claims)
        except TrustedIssuer.DoesNotExist:
            raise CommandError(
                f"There is no trusted issuer {options['issuer']!r}; `trustissuer` adds it."
            ) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        record_change(
            "identity_added", client=client.username, issuer=issuer.url, subject=identity.subject
        )
        self.stdout.write(f"{identity.subject} can log in as client {client.username}.")
