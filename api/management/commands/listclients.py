"""List clients, however many there are."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from api import client_search
from api.client_records import describe, with_details
from api.client_search import find_clients, in_batches, search
from api.management.durations import ago, ahead
from api.management.output import print_lines

COLUMNS = "{:36}  {:6}  {:16}  {:14}  {:20}  {}"
HEADINGS = ("client id", "active", "last used (UTC)", "secret expires", "name", "scopes")


class Command(BaseCommand):
    help = "Lists clients: as a table on a terminal, else as a line of JSON each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--search",
            default="",
            metavar="TEXT",
            help="whose id begins with a text, or words of whose name do",
        )
        active = parser.add_mutually_exclusive_group()
        active.add_argument("--active", action="store_true", default=None, help="that may log in")
        active.add_argument(
            "--inactive", action="store_false", dest="active", help="that may not log in"
        )
        parser.add_argument("--scope", default="", help="that have a scope")
        parser.add_argument(
            "--resource", default="", metavar="IDENTIFIER", help="that may call an API"
        )
        parser.add_argument(
            "--unused",
            type=ago,
            metavar="TIME",
            help="that have not logged in for a time such as 30d, or since a date",
        )
        parser.add_argument(
            "--expiring",
            type=ahead,
            metavar="TIME",
            help="whose secret or key expires within a time such as 30d, or before a date",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = find_clients(
            active=options["active"],
            scope=options["scope"],
            resource=options["resource"],
            unused_since=options["unused"],
            expiring_before=options["expiring"],
        )
        clients = in_batches(with_details(search(found, options["search"])))
        if self.stdout.isatty():
            self.stdout.write(COLUMNS.format(*HEADINGS).upper())
        write = _as_row if self.stdout.isatty() else json.dumps
        count = print_lines(self.stdout, (write(describe(client)) for client in clients))
        if options["search"] and count >= client_search.MAX_FOUND:
            self.stderr.write("There may be more. --search finds no more ids, or names, than this.")


def _as_row(described: Mapping[str, Any]) -> str:
    """Return a row without control characters, which would move the terminal's cursor."""
    ends = {0: "never", None: "no secret"}
    expires_at = described["client_secret_expires_at"]
    row = COLUMNS.format(
        described["client_id"],
        "yes" if described["active"] else "no",
        (described["last_used_at"] or "never")[:16].replace("T", " "),
        ends.get(expires_at) or f"{datetime.fromtimestamp(expires_at, UTC):%Y-%m-%d}",
        described["client_name"],
        described["scope"],
    )
    return "".join(one if one.isprintable() else "?" for one in row.rstrip())
