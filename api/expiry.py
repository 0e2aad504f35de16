"""When a client's secret expires: what the policy allows, and what is stored.

The time of a secret never changes, and no token's `exp` is after it. So no verification reads it.
"""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone

from api.models import ClientProfile


def choose(given: datetime | None = None) -> datetime | None:
    """Return when a secret that is made now expires, in whole seconds; `None` is never.

    That is the given time, or the end of `SECRET_MAX_AGE` if that is earlier. Raises
    `ValidationError` for a time that has passed.
    """
    now, max_age = timezone.now(), settings.SECRET_MAX_AGE
    ends = [*filter(None, [given]), *([now + max_age] if max_age else [])]
    if not ends:
        return None
    end = min(ends).replace(microsecond=0)
    if end <= now:
        raise ValidationError("The secret would have expired already.")
    return end


def to_seconds(expires_at: datetime | None) -> int:
    """Return the seconds since 1970; 0 is never (RFC 7591 §3.2.1)."""
    return int(expires_at.timestamp()) if expires_at else 0


def of(client: User) -> datetime | None:
    """Return when the current secret of a client expires; `None` is never."""
    rows = ClientProfile.objects.filter(client_id=client.pk)
    return rows.values_list("secret_expires_at", flat=True).first()


def record_new_secret(client: User, expires_at: datetime | None) -> None:
    """Record that the client has a new secret, or none."""
    ClientProfile.objects.update_or_create(
        client_id=client.pk,
        defaults={
            "secret_made_at": timezone.now(),
            "secret_used_at": None,
            "secret_expires_at": expires_at,
        },
    )
