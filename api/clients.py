"""Create and register clients, and rotate their secrets."""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from api import audit
from api.credentials import is_scope
from api.hashers import generate_secret
from api.models import Client, RetiredSecret
from api.resources import get_or_create_scopes


class SecretChangedError(Exception):
    """The client's secret was changed by another request in the meantime."""


def scopes() -> list[Group]:
    return [group for group in Group.objects.order_by("name") if is_scope(group.name)]


def create_client(
    client_id: str | None = None,
    *,
    name: str = "",
    scopes: Iterable[str] = (),
    secret: str | None = None,
) -> tuple[Client, str]:
    """Create a client and return it with its secret, which is stored only as a hash.

    The id and the secret are generated unless given. Raises `ValidationError`.
    """
    secret = secret or generate_secret()
    client = Client(username=client_id or str(uuid.uuid4()), first_name=name)
    client.password = make_password(secret)
    client.full_clean()
    try:
        with transaction.atomic():
            client.save(force_insert=True)
            client.groups.set(get_or_create_scopes(scopes))
    except IntegrityError:
        # Another request took the id after the check.
        raise ValidationError({"username": "This client id is taken."}) from None
    return client, secret


def register_client(*, name: str, scopes: Iterable[str], address: str) -> tuple[Client, str]:
    """Create a client as `create_client` does, and write an audit line with the address."""
    client, secret = create_client(name=name, scopes=scopes)
    audit.record("client_registered", client=client.username, address=address)
    return client, secret


def secret_version(client: Client) -> str:
    """Return an id of the client's current secret, which reveals nothing about the secret."""
    return salted_hmac(__name__, client.password, algorithm="sha256").hexdigest()[:32]


def grace_end(client: Client) -> datetime | None:
    """Return when the grace period of the previous secret ends, or `None` if it has ended."""
    in_grace = RetiredSecret.objects.filter(
        client_id=client.pk, replaced_by=client.password, expires_at__gt=timezone.now()
    )
    return in_grace.values_list("expires_at", flat=True).first()


def rotate_secret(
    client: Client, *, grace: timedelta | None = None, version: str | None = None
) -> str:
    """Give a client a new generated secret and return it.

    The old secret and its tokens stay good for the grace period; without one, both end now. An
    even older secret that is still in its grace period always ends now.
    Raises `SecretChangedError` if the secret has changed since `client` was loaded, or since
    somebody read its `version`. So of two concurrent rotations one wins and the other fails.
    """
    secret = generate_secret()
    old, new = client.password, make_password(secret)
    is_current = version is None or constant_time_compare(version, secret_version(client))
    with transaction.atomic():
        rows = Client.objects.filter(pk=client.pk, password=old)
        if not is_current or not rows.update(password=new):
            raise SecretChangedError(f"The secret of {client.username} has just been changed.")
        RetiredSecret.objects.filter(client_id=client.pk).delete()
        if grace:
            RetiredSecret.objects.create(
                client_id=client.pk,
                hash=old,
                replaced_by=new,
                expires_at=timezone.now() + grace,
            )
    client.password = new
    return secret
