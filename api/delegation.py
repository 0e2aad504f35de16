"""What a caller of the management API may do: nobody gets more than the caller's own token has.

A caller passes on only scopes and APIs that it holds. It changes only clients that hold nothing
else, because a new secret would let it act as that client. That holds for taking scopes away too:
otherwise a caller could weaken a client first, and then take it over. No caller changes itself.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from django.db import transaction

from api import client_records, clients, identifiers
from api.models import Client, Resource


class NotHeldError(Exception):
    """The caller would hand out, or act for a client with, more than it holds."""


class ChangedMeanwhileError(Exception):
    """The client is no longer what the caller has seen."""


@dataclass(frozen=True)
class Caller:
    """A client that manages others, and those scopes of its token that it still has."""

    client_id: str
    scopes: Collection[str]

    @cached_property
    def client(self) -> Client:
        return client_records.find(self.client_id)

    def check_scopes(self, names: Collection[str]) -> None:
        """Refuse scopes that the caller does not hold. Raises `NotHeldError`."""
        if not set(names) <= set(self.scopes):
            raise NotHeldError("Your token lacks a scope that the client would have.")

    def select_resources(self, named: Collection[str]) -> list[Resource]:
        """Return the resources of these names, all of which the caller holds.

        One that does not exist is refused like any other. Raises `NotHeldError`.
        """
        held = {
            spelling: resource
            for resource in client_records.resources(self.client)
            for spelling in identifiers.spellings(resource.identifier)
        }
        if not set(named) <= held.keys():
            raise NotHeldError("Your client may not call an API that the client would have.")
        return [held[name] for name in named]

    def check_may_change(self, client: Client) -> None:
        """Refuse to change a client that holds more, or the caller. Raises `NotHeldError`.

        The server of an API may introspect its tokens, so that counts too.
        """
        if client.pk == self.client.pk:
            raise NotHeldError("A client cannot change itself.")
        for held in (client_records.resources, client_records.served_resources):
            if not held(client) <= held(self.client):
                raise NotHeldError("The client has an API that yours does not have.")
        if not client_records.scopes(client) <= set(self.scopes):
            raise NotHeldError("The client has a scope that your token lacks.")


@contextmanager
def changing(
    client_id: str, caller: Caller, versions: Collection[str] | None = None
) -> Iterator[Client]:
    """Lock a client that the caller may change, in a transaction.

    The row's lock makes grants to the client wait too, so what was checked stays true. Staff are no
    clients. Raises `Client.DoesNotExist`, `NotHeldError`, and `ChangedMeanwhileError` if the
    client's version is none of `versions`.
    """
    with transaction.atomic():
        client = client_records.find(client_id, lock=True)
        caller.check_may_change(client)
        if versions is not None and version(client) not in versions:
            raise ChangedMeanwhileError
        yield client


def version(client: Client) -> str:
    """Return an id of what a client is now: all that is said of it, but its last use."""
    described = client_records.describe(client) | {"last_used_at": None}
    content = json.dumps([described, clients.secret_version(client)])
    return hashlib.sha256(content.encode()).hexdigest()[:32]
