"""Create, change and delete clients, and end their credentials and tokens.

Each writes an audit line. `actor` has the fields that say who did it, such as `by` and `address`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db import transaction

from api import audit, client_keys, client_records, clients, identities, resources, tokens
from api.credentials import CURRENT, NO_SECRET, PREVIOUS, create_client
from api.models import Client, ClientKey, Resource, WorkloadIdentity
from api.public_keys import GivenKey
from api.scopes import get_or_create_scopes, is_scope

Actor = Mapping[str, str]
_ROWS: dict[str, type[ClientKey | WorkloadIdentity]] = {
    client_keys.KIND: ClientKey,
    identities.KIND: WorkloadIdentity,
}
_OF_ROW = re.compile(f"({'|'.join(_ROWS)}):([1-9][0-9]{{0,17}})")


class NoSuchCredentialError(Exception):
    """The client has no such credential, or it has ended already."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The new values of a client. `None` leaves a value as it is.

    The default resource is granted too. If it is empty, tokens are for this service.
    """

    name: str | None = None
    active: bool | None = None
    scopes: Collection[str] | None = None
    resources: Collection[Resource] | None = None
    default_resource: Resource | Literal["", None] = None


def create(
    given: Changes,
    *,
    client_id: str | None = None,
    keys: Sequence[GivenKey] = (),
    secret_expires_at: datetime | None = None,
    actor: Actor,
) -> tuple[Client, str]:
    """Create a client and return it with its secret. With keys, it has no secret.

    The id is generated unless given. Raises `UnusableKeyError`, `ValidationError`.
    """
    with transaction.atomic():
        client, secret = create_client(
            client_id,
            name=given.name or "",
            scopes=given.scopes or (),
            secret=NO_SECRET if keys else None,
            secret_expires_at=secret_expires_at,
        )
        if given.resources or given.default_resource:
            resources.set_grants(client, given.resources or (), given.default_resource or None)
        if keys:
            client_keys.add(client, keys)
        audit.record("client_created", client=client.username, **actor)
    return client, secret


def update(client: Client, changes: Changes, *, actor: Actor) -> None:
    """Change a client, and write only what differs. Raises `ValidationError`."""
    before = (client.first_name, _scopes(client), _grants(client))
    with transaction.atomic():
        if changes.active is not None and changes.active != client.is_active:
            switch(client, active=changes.active, actor=actor)
        if changes.name is not None and changes.name != client.first_name:
            name = Client._meta.get_field("first_name")
            client.first_name = name.clean(changes.name, client)
            client.save(update_fields=["first_name"])
        if changes.scopes is not None:
            others = [group for group in client.groups.all() if not is_scope(group.name)]
            client.groups.set([*get_or_create_scopes(changes.scopes), *others])
        if changes.resources is not None or changes.default_resource is not None:
            _set_grants(client, changes)
        if before != (client.first_name, _scopes(client), _grants(client)):
            audit.record("client_changed", client=client.username, **actor)


def switch(client: Client, *, active: bool, actor: Actor) -> None:
    """Activate or deactivate a client. Both end its tokens and a previous secret (receivers)."""
    client.is_active = active
    client.save(update_fields=["is_active"])
    event = "client_activated" if active else "client_deactivated"
    audit.record(event, client=client.username, **actor)


def _set_grants(client: Client, changes: Changes) -> None:
    granted, default = changes.resources, changes.default_resource
    if granted is None:
        granted = client_records.resources(client)
    if default is None:
        held = Resource.objects.filter(grants__client=client.pk, grants__is_default=True)
        default = held.filter(pk__in=[one.pk for one in granted]).first()
    resources.set_grants(client, granted, default or None)
    client.refresh_from_db(fields=["resource_grants"])  # forget those fetched before


def _scopes(client: Client) -> set[str]:
    return set(client.groups.values_list("name", flat=True))


def _grants(client: Client) -> set[tuple[int, bool]]:
    return set(client.resource_grants.values_list("resource", "is_default"))


def rotate_secret(
    client: Client, *, grace: timedelta, expires_at: datetime | None = None, actor: Actor
) -> str:
    """Give a client a new secret, as `clients.rotate_secret` does, and return it."""
    with transaction.atomic():
        secret = clients.rotate_secret(client, grace=grace, expires_at=expires_at)
        audit.record("secret_rotated", client=client.username, **actor)
    return secret


def delete(client: Client, *, actor: Actor) -> None:
    """Delete a client and all that belongs to it."""
    with transaction.atomic():
        client.delete()
        audit.record("client_deleted", client=client.username, **actor)


def revoke_tokens(client: Client, *, actor: Actor) -> None:
    """Revoke all tokens of a client. Its credentials stay good and obtain new ones."""
    with transaction.atomic():
        tokens.revoke_all(Client.objects.filter(pk=client.pk))
        audit.record("tokens_revoked", client=client.username, **actor)


def end_credential(client: Client, credential: str, *, actor: Actor) -> None:
    """End a credential, which `client_records.credentials` names, and its tokens.

    The secret ends with the previous one. Raises `NoSuchCredentialError`, `SecretChangedError`.
    """
    of_row = _OF_ROW.fullmatch(credential)
    kind, named = (of_row[1] if of_row else CURRENT), {}
    with transaction.atomic():
        if of_row:
            named = _delete(client, kind, int(of_row[2]))
        elif credential == CURRENT and client.has_usable_password():
            clients.remove_secret(client)
        elif credential == PREVIOUS and clients.grace_end(client):
            clients.end_previous_secret(client)
        else:
            raise NoSuchCredentialError
        fields = {"client": client.username, "credential": credential, **named, **actor}
        audit.record(f"{kind}_removed", **fields)


def _delete(client: Client, kind: str, pk: int) -> dict[str, str]:
    """Delete a key or an identity. Return what an audit line calls it, as when it was added."""
    row = _ROWS[kind].objects.filter(client_id=client.pk, pk=pk).first()
    if row is None or not row.delete()[0]:
        raise NoSuchCredentialError
    if isinstance(row, ClientKey):
        return {"kid": row.kid}
    return {"issuer": row.issuer.url, "subject": row.subject}
