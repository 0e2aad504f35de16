"""Create and register clients, rotate and remove their secrets, and restrict their methods."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.contrib.auth.hashers import is_password_usable, make_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from api import audit, client_keys, expiry
from api.credentials import NO_SECRET, create_client
from api.hashers import generate_secret
from api.models import Client, ClientProfile, RetiredSecret
from api.public_keys import GivenKey

MAX_GRACE = timedelta(days=90)


class SecretChangedError(Exception):
    """The client's secret was changed by another request in the meantime."""


def register_client(
    *,
    name: str,
    scopes: Iterable[str],
    address: str,
    auth_method: str = "",
    keys: Sequence[GivenKey] = (),
) -> tuple[Client, str]:
    """Create a client as `create_client` does, and write an audit line with the address.

    A client that is restricted to keys gets no secret. Raises `UnusableKeyError`.
    """
    secret = NO_SECRET if auth_method == client_keys.METHOD else None
    with transaction.atomic():
        client, secret = create_client(name=name, scopes=scopes, secret=secret)
        if keys:
            client_keys.add(client, keys)
        if auth_method:
            restrict(client, auth_method)
    audit.record("client_registered", client=client.username, address=address)
    return client, secret


def restrict(client: Client, auth_method: str) -> None:
    """Let a client use one authentication method only, or all if `auth_method` is empty."""
    ClientProfile.objects.update_or_create(
        client_id=client.pk, defaults={"auth_method": auth_method}
    )


def secret_version(client: Client) -> str:
    """Return an id of the client's current secret, which reveals nothing about the secret."""
    return salted_hmac(__name__, client.password, algorithm="sha256").hexdigest()[:32]


def secret_in_grace(client: Client) -> RetiredSecret | None:
    """Return the previous secret, or `None` if its grace period has ended."""
    return RetiredSecret.objects.filter(
        client_id=client.pk, replaced_by=client.password, expires_at__gt=timezone.now()
    ).first()


def grace_end(client: Client) -> datetime | None:
    """Return when the grace period of the previous secret ends, or `None` if it has ended."""
    previous = secret_in_grace(client)
    return previous.expires_at if previous else None


def rotate_secret(
    client: Client,
    *,
    grace: timedelta | None = None,
    version: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Give a client a new generated secret, which `expiry.choose` limits, and return it.

    The old secret and its tokens stay good for the grace period, or until it expires; without a
    period, both end now. An even older secret that is still in its grace period always ends now.
    Raises `SecretChangedError` if the secret has changed since `client` was loaded, or since
    somebody read its `version`. So of two concurrent rotations one wins and the other fails.
    Raises `ValidationError` for more than `MAX_GRACE`, or if the new secret would have expired
    already.
    """
    if grace and grace > MAX_GRACE:
        raise ValidationError(f"The grace period is longer than {MAX_GRACE.days} days.")
    expires_at = expiry.choose(expires_at)
    secret = generate_secret()
    old, new, now = client.password, make_password(secret), timezone.now()
    with transaction.atomic():
        old_ends = min(filter(None, (now + (grace or timedelta()), expiry.of(client))))
        _replace_secret(client, new, version, expires_at)
        if old_ends > now and is_password_usable(old):
            RetiredSecret.objects.create(
                client_id=client.pk, hash=old, replaced_by=new, expires_at=old_ends
            )
    return secret


def end_previous_secret(client: Client) -> None:
    """End the grace period of the previous secret now."""
    RetiredSecret.objects.filter(client_id=client.pk).delete()


def remove_secret(client: Client) -> None:
    """End all secrets of a client, and their tokens. Raises `SecretChangedError`."""
    with transaction.atomic():
        _replace_secret(client, make_password(None), version=None, expires_at=None)


def _replace_secret(
    client: Client, new: str, version: str | None, expires_at: datetime | None
) -> None:
    """Store another hash, and end the previous secret. Raises `SecretChangedError`."""
    rows = Client.objects.filter(pk=client.pk, password=client.password)
    is_current = version is None or constant_time_compare(version, secret_version(client))
    if not is_current or not rows.update(password=new):
        raise SecretChangedError(f"The secret of {client.username} has just been changed.")
    RetiredSecret.objects.filter(client_id=client.pk).delete()
    expiry.record_new_secret(client, expires_at)
    client.password = new
