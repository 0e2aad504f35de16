"""The table of a client's credentials on its page in the admin."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from api import client_keys, client_records, clients, identities
from api.admin.records import format_time
from api.credentials import CURRENT, PREVIOUS
from api.models import Client, ClientKey, WorkloadIdentity

Links = tuple[tuple[str, str], ...]
_REMOVAL = {  # by kind of credential
    client_keys.KIND: "api.delete_clientkey",
    identities.KIND: "api.delete_workloadidentity",
}


def removal_permission(credential: str) -> str:
    """Return the permission that staff need to remove a credential."""
    return _REMOVAL.get(credential.partition(":")[0], "api.rotate_secret")


@dataclass(frozen=True, slots=True)
class Row:
    """A credential. `links` are its buttons, each a label and a URL."""

    name: str
    kind: str
    created: str
    expires: str
    last_used: str
    links: Links = ()


def rows(client: Client, user: Any) -> list[Row]:
    """Return a client's credentials, with the buttons that `user` may press."""
    keys = ClientKey.objects.filter(client_id=client.pk)
    held = WorkloadIdentity.objects.filter(client_id=client.pk).select_related("issuer")
    others = [
        *(_key(client, key, user) for key in keys.order_by("-pk")),
        *(_identity(client, one, user) for one in held.order_by("-pk")),
    ]
    return [*_secrets(client, user, has_others=bool(others)), *others]


def _secrets(client: Client, user: Any, *, has_others: bool) -> Iterator[Row]:
    if client.has_usable_password():
        links = _removal(client, CURRENT, user)
        if links:
            links = (("Rotate", reverse("admin:api_client_rotate", args=(client.pk,))), *links)
        profile = client_records.profile_of(client)
        made_at = format_time(profile.secret_made_at or client.date_joined)
        used_at = _when(client_records.secret_used_at(client, has_others=has_others))
        yield Row("Secret", "secret", made_at, _expiry(profile.secret_expires_at), used_at, links)
    if previous := clients.secret_in_grace(client):
        links = _removal(client, PREVIOUS, user)
        used = _when(previous.last_used_at)
        if previous.last_used_from:
            used += f" from {previous.last_used_from}"
        yield Row("Previous secret", "secret", "", format_time(previous.expires_at), used, links)


def _key(client: Client, key: ClientKey, user: Any) -> Row:
    links = _removal(client, f"{client_keys.KIND}:{key.pk}", user)
    kind = f"key {' '.join(key.jwk[member] for member in ('kty', 'crv') if member in key.jwk)}"
    created, expires = format_time(key.created_at), _expiry(key.expires_at)
    return Row(str(key), kind, created, expires, _when(key.last_used_at), links)


def _identity(client: Client, identity: WorkloadIdentity, user: Any) -> Row:
    links = _removal(client, f"{identities.KIND}:{identity.pk}", user)
    claims = "".join(f", {name}={value}" for name, value in sorted(identity.claims.items()))
    name, kind = f"{identity}{claims}", f"identity of {identity.issuer}"
    created, last_used = format_time(identity.created_at), _when(identity.last_used_at)
    return Row(name, kind, created, "never", last_used, links)


def _removal(client: Client, credential: str, user: Any) -> Links:
    if not user.has_perm(removal_permission(credential)):
        return ()
    return (("Remove", reverse("admin:api_client_remove", args=(client.pk, credential))),)


def _expiry(moment: datetime | None) -> str:
    has_passed = moment and moment <= timezone.now()
    return f"expired {_when(moment)}" if has_passed else _when(moment)


def _when(moment: datetime | None) -> str:
    return format_time(moment) if moment else "never"
