"""The table of a client's credentials on its page in the admin."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from api import clients
from api.admin.records import format_time
from api.models import Client, ClientKey, ClientProfile, WorkloadIdentity

SECRET, PREVIOUS_SECRET = "secret", "previous-secret"


@dataclass(frozen=True, slots=True)
class Row:
    """A credential. `links` are its buttons, each a label and a URL."""

    name: str
    kind: str
    created: str
    expires: str
    last_used: str
    links: tuple[tuple[str, str], ...] = ()


def rows(client: Client, user: Any) -> list[Row]:
    """Return a client's credentials, with the buttons that `user` may press."""
    keys = ClientKey.objects.filter(client_id=client.pk).order_by("-pk")
    from_keys = [_key(client, key, user) for key in keys]
    identities = WorkloadIdentity.objects.filter(client_id=client.pk).order_by("-pk")
    others = [
        *from_keys,
        *(_identity(client, one, user) for one in identities.select_related("issuer")),
    ]
    return [*_secrets(client, user, has_others=bool(others)), *others]


def _secrets(client: Client, user: Any, *, has_others: bool) -> Iterator[Row]:
    links: tuple[tuple[str, str], ...] = ()
    profile = ClientProfile.objects.filter(pk=client.pk).first()
    if client.has_usable_password():
        if user.has_perm("api.rotate_secret"):
            rotate = reverse("admin:api_client_rotate", args=(client.pk,))
            links = (("Rotate", rotate), ("Remove", _removal(client, SECRET)))
        # Without a profile, the secret has not been used since keys were introduced.
        used_at = profile.secret_used_at if profile else None if has_others else client.last_login
        made_at = (profile and profile.secret_made_at) or client.date_joined
        expires = _expiry(profile.secret_expires_at if profile else None)
        yield Row("Secret", "secret", format_time(made_at), expires, _when(used_at), links)
    if previous := clients.secret_in_grace(client):
        if user.has_perm("api.rotate_secret"):
            links = (("Remove", _removal(client, PREVIOUS_SECRET)),)
        used = _when(previous.last_used_at)
        if previous.last_used_from:
            used += f" from {previous.last_used_from}"
        yield Row("Previous secret", "secret", "", format_time(previous.expires_at), used, links)


def _key(client: Client, key: ClientKey, user: Any) -> Row:
    links: tuple[tuple[str, str], ...] = ()
    if user.has_perm("api.delete_clientkey"):
        links = (("Remove", _removal(client, key.kid)),)
    kind = f"key {' '.join(key.jwk[member] for member in ('kty', 'crv') if member in key.jwk)}"
    created, expires = format_time(key.created_at), _expiry(key.expires_at)
    return Row(str(key), kind, created, expires, _when(key.last_used_at), links)


def _identity(client: Client, identity: WorkloadIdentity, user: Any) -> Row:
    links: tuple[tuple[str, str], ...] = ()
    if user.has_perm("api.delete_workloadidentity"):
        remove = reverse("admin:api_client_remove_identity", args=(client.pk, identity.pk))
        links = (("Remove", remove),)
    claims = "".join(f", {name}={value}" for name, value in sorted(identity.claims.items()))
    name, kind = f"{identity}{claims}", f"identity of {identity.issuer}"
    created, last_used = format_time(identity.created_at), _when(identity.last_used_at)
    return Row(name, kind, created, "never", last_used, links)


def _removal(client: Client, name: str) -> str:
    return reverse("admin:api_client_remove", args=(client.pk, name))


def _expiry(moment: datetime | None) -> str:
    has_passed = moment and moment <= timezone.now()
    return f"expired {_when(moment)}" if has_passed else _when(moment)


def _when(moment: datetime | None) -> str:
    return format_time(moment) if moment else "never"
