"""Move clients in from a file of this or another login service."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import ngettext
from tqdm import tqdm

from api.client_authentication import METHODS
from api.importing.create import TAKEN, create
from api.importing.formats import UnknownFormatError, read_rows
from api.importing.rows import Refusal, Row
from api.management.records import record_change


class Command(BaseCommand):
    help = (
        "Creates clients from a file: CSV or JSON lines, dumpdata of django-oauth-toolkit or of "
        "auth.user, a client list of Hydra, or a realm of Keycloak."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the path of the file, or - for standard input")
        parser.add_argument(
            "--generated",
            action="store_true",
            help="the plain secrets are random: store a hash that is quick to check",
        )
        parser.add_argument("--dry-run", action="store_true", help="only report what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = {"created": 0, "existing": 0, "refused": 0}
        try:
            with self._open(options["file"]) as file:
                found = list(read_rows(file))
                with tqdm(total=len(found), disable=None, unit=" clients") as progress:
                    for outcome in self._import(found, options):
                        progress.update()
                        counts[self._report(outcome)] += 1
        except (OSError, UnicodeDecodeError, UnknownFormatError) as error:
            raise CommandError(f"The file cannot be read: {error}") from error
        self.stdout.write(json.dumps(counts))
        if not options["dry_run"]:
            record_change("clients_imported", clients=counts["created"])
        if counts["refused"]:
            were = ngettext("client was", "clients were", counts["refused"])
            raise CommandError(f"{counts['refused']} {were} refused; see above.")

    def _open(self, path: str) -> Any:
        return nullcontext(sys.stdin) if path == "-" else Path(path).open(encoding="utf-8")

    def _import(
        self, found: list[Row | Refusal], options: Mapping[str, Any]
    ) -> Iterator[Row | Refusal]:
        rows = []
        for one in found:
            if isinstance(one, Refusal):
                yield one
            elif one.auth_method not in {"", *METHODS}:
                yield Refusal(one.client_id, "Its token_endpoint_auth_method is unknown.")
            else:
                rows.append(one)
        yield from create(rows, are_random=options["generated"], is_dry_run=options["dry_run"])

    def _report(self, outcome: Row | Refusal) -> str:
        """Write why a client was refused, and return under what it counts."""
        if isinstance(outcome, Row):
            return "created"
        if outcome.reason == TAKEN:
            return "existing"
        with tqdm.external_write_mode():
            self.stderr.write(f"{outcome.client_id!r}: {outcome.reason}")
        return "refused"
