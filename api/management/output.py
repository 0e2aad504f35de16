"""Print a secret that cannot be shown again."""

import json

from django.core.management.base import CommandError, OutputWrapper

from api import expiry
from api.models import Client


def print_credentials(stdout: OutputWrapper, **shown: str | list[str]) -> None:
    """Print credentials as one line of JSON. Call it inside the transaction that makes them.

    If printing fails, it raises `CommandError`, which rolls the transaction back.
    """
    try:
        stdout.write(json.dumps(shown))
        stdout.flush()
    except OSError as error:
        raise CommandError(
            f"The secret cannot be printed ({error}). Nothing has changed."
        ) from error


def describe_expiry(client: Client) -> dict[str, str]:
    """Return when the client's secret expires, or nothing if it never does."""
    expires_at = expiry.of(client)
    return {"secret_expires_at": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}"} if expires_at else {}
