"""Find a client, and describe it and its credentials. The values are ready for JSON."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import DataError
from django.db.models import QuerySet
from django.utils import timezone

from api import client_keys, clients, expiry, identities
from api.credentials import CURRENT, PREVIOUS
from api.models import Client, ClientKey, ClientProfile, Resource, WorkloadIdentity
from api.scopes import is_scope
from api.usage import figures


def find(client_id: str, *, lock: bool = False) -> Client:
    """Return a client. If `lock`, its row is locked first, until the transaction ends.

    Staff are no clients. Raises `Client.DoesNotExist`.
    """
    try:
        if lock:
            Client.objects.select_for_update().get(username=client_id)
        return with_details(Client.objects.all()).get(username=client_id)
    except (DataError, ValueError):  # no database holds this text: NUL, surrogates
        raise Client.DoesNotExist from None


def with_details(clients: QuerySet[Client]) -> QuerySet[Client]:
    """Fetch all that `describe` says of many clients in three queries."""
    return clients.select_related("profile").prefetch_related("groups", "resource_grants__resource")


def describe(client: Client) -> dict[str, Any]:
    """Return what the API and `showclient` say of a client."""
    profile = profile_of(client)
    grants = client.resource_grants.all()
    default = next((grant.resource.identifier for grant in grants if grant.is_default), None)
    expires = expiry.to_seconds(profile.secret_expires_at)
    return {
        "client_id": client.username,
        "client_name": client.first_name,
        "active": client.is_active,
        "scope": " ".join(sorted(scopes(client))),
        "resources": sorted(resource.identifier for resource in resources(client)),
        "default_resource": default,
        "token_endpoint_auth_method": profile.auth_method,
        "client_id_issued_at": int(client.date_joined.timestamp()),
        "client_secret_expires_at": expires if client.has_usable_password() else None,
        "last_used_at": utc_text(client.last_login),
    }


def scopes(client: Client) -> set[str]:
    """Return the client's groups whose names can be scopes."""
    return {group.name for group in client.groups.all() if is_scope(group.name)}


def resources(client: Client) -> set[Resource]:
    """Return the resources that the client is granted."""
    return {grant.resource for grant in client.resource_grants.all()}


def served_resources(client: Client) -> set[Resource]:
    """Return the resources whose server the client is: it may introspect their tokens."""
    return set(client.served_resources.all())


def credentials(client: Client) -> list[dict[str, Any]]:
    """Return a client's credentials: its secrets, and its keys and identities, the newest first."""
    keys = ClientKey.objects.filter(client_id=client.pk)
    held = WorkloadIdentity.objects.filter(client_id=client.pk).select_related("issuer")
    named = [
        *((client_keys.KIND, key, str(key)) for key in keys.order_by("-pk")),
        *((identities.KIND, one, f"{one} of {one.issuer.url}") for one in held.order_by("-pk")),
    ]
    others = [_credential(f"{kind}:{row.pk}", row, name=name) for kind, row, name in named]
    return [*_secrets(client, has_others=bool(others)), *others]


def profile_of(client: Client) -> ClientProfile:
    """Return the profile of a client, or the defaults of one without."""
    return getattr(client, "profile", None) or ClientProfile(client_id=client.pk)


def secret_used_at(client: Client, *, has_others: bool) -> datetime | None:
    """Return when the secret was last used; `has_others` if the client has other credentials.

    A client without a profile has not used it since keys were introduced. If the client has nothing
    else, its last login was with the secret.
    """
    profile: ClientProfile | None = getattr(client, "profile", None)
    if profile is None:
        return None if has_others else client.last_login
    return profile.secret_used_at


def usage(client: Client, since: datetime) -> list[dict[str, Any]]:
    """Return the count of each outcome by the hour, the oldest hour first."""
    hours: dict[str, dict[str, int]] = {}
    for one in figures.of_client(client, since, timezone.now()):
        hours.setdefault(str(utc_text(one.hour)), {})[one.outcome] = one.count
    return [{"hour": hour, "outcomes": outcomes} for hour, outcomes in hours.items()]


def _secrets(client: Client, *, has_others: bool) -> Iterator[dict[str, Any]]:
    if client.has_usable_password():
        profile = profile_of(client)
        yield {
            "id": CURRENT,
            "name": "",
            "created_at": utc_text(profile.secret_made_at or client.date_joined),
            "expires_at": utc_text(profile.secret_expires_at),
            "last_used_at": utc_text(secret_used_at(client, has_others=has_others)),
            "last_used_from": None,
        }
    if previous := clients.secret_in_grace(client):
        yield _credential(PREVIOUS, previous, name="")


def _credential(credential_id: str, row: Any, *, name: str) -> dict[str, Any]:
    return {
        "id": credential_id,
        "name": name,
        "created_at": utc_text(getattr(row, "created_at", None)),
        "expires_at": utc_text(getattr(row, "expires_at", None)),
        "last_used_at": utc_text(row.last_used_at),
        "last_used_from": getattr(row, "last_used_from", "") or None,
    }


def utc_text(moment: datetime | None) -> str | None:
    """Format a time as RFC 3339 does, in UTC and to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None
