"""Change a client."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from api import client_records, resources
from api.client_changes import Changes, update
from api.management.finding import find_client
from api.management.output import print_json
from api.management.records import actor
from api.models import Client, Resource

T = TypeVar("T")


class Command(BaseCommand):
    help = "Changes a client, and prints what it is now, as JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id")
        parser.add_argument("--name", help="name for people to read")
        active = parser.add_mutually_exclusive_group()
        active.add_argument("--activate", action="store_true", default=None, dest="active")
        active.add_argument("--deactivate", action="store_false", dest="active")
        for what, metavar, one, every in (
            ("scope", "SCOPE", "a scope", "all scopes"),
            ("resource", "IDENTIFIER", "an API that the client may call", "all APIs"),
        ):
            for option, meaning in (
                (f"--{what}", f"replace {every} by this one, or by none if it is empty"),
                (f"--add-{what}", f"add {one}"),
                (f"--remove-{what}", f"remove {one}"),
            ):
                parser.add_argument(
                    option,
                    action="append",
                    metavar=metavar,
                    help=f"{meaning}; repeat for several",
                )
        parser.add_argument(
            "--default-resource",
            metavar="IDENTIFIER",
            help="the API that tokens are for if the client names none; this service if it is "
            "empty",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                client = find_client(options["client_id"], lock=True)
                update(client, _changes(client, options), actor=actor())
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        print_json(self.stdout, client_records.describe(client))


def _changes(client: Client, options: Mapping[str, Any]) -> Changes:
    """Return what the options ask for. Raises `CommandError`, `ValidationError`."""
    default = options["default_resource"]
    granted = Resource.objects.filter(grants__client=client.pk)
    changes = Changes(
        name=options["name"],
        active=options["active"],
        scopes=_select("scope", client_records.scopes(client), options, find=str),
        resources=_select("resource", granted, options, find=resources.find),
        default_resource=resources.find(default) if default else default,
    )
    if changes == Changes():
        raise CommandError("Nothing is to be changed. `--help` lists what can be.")
    return changes


def _select(
    kind: str, held: Iterable[T], options: Mapping[str, Any], *, find: Callable[[str], T]
) -> set[T] | None:
    """Return what the client shall have of a kind, or `None` if no option tells."""
    given, added, removed = (options[f"{verb}{kind}"] for verb in ("", "add_", "remove_"))
    if not (given or added or removed):
        return None
    wanted = {find(name) for name in given if name} if given else set(held)
    wanted |= {find(name) for name in added or ()}
    for name in removed or ():
        if find(name) not in wanted:
            raise CommandError(f"The client does not have {name!r}.")
        wanted.remove(find(name))
    return wanted
