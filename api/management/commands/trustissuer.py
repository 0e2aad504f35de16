"""Trust another token issuer, such as a Kubernetes cluster or a CI system."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from api import issuers
from api.management.records import record_change
from api.trust import trust_issuer


class Command(BaseCommand):
    help = "Trusts an issuer, or replaces what is known about it, and prints the ids of its keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", help="what the `iss` of its tokens says, to the letter")
        parser.add_argument("--name", default="", help="name for people to read")
        parser.add_argument(
            "--jwks", metavar="FILE", help="its JWK Set (- for standard input); fetched if absent"
        )
        parser.add_argument(
            "--audience", default="", help="the `aud` of its tokens; PUBLIC_URL if not given"
        )
        parser.add_argument(
            "--internal", action="store_true", help="its address may be a private one"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            issuer = trust_issuer(
                options["url"],
                name=options["name"],
                audience=options["audience"],
                is_internal=options["internal"],
                given=_read(options["jwks"]) if options["jwks"] else "",
            )
        except OSError as error:
            raise CommandError(f"The keys cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError:
            raise CommandError("The JWK Set is not JSON.") from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        record_change("issuer_trusted", issuer=issuer.url)
        for kid in issuers.load(issuer.given_jwks or issuer.fetched_jwks):
            self.stdout.write(kid)


def _read(name: str) -> str:
    """Return the content of a file, which must not be empty: empty means discovery."""
    content = sys.stdin.read() if name == "-" else Path(name).read_text()
    if not content.strip():
        raise CommandError("The file with the keys is empty.")
    return content
