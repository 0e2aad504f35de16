"""Print what scripts read, and secrets that cannot be shown again."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from api import client_records, expiry
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


def print_json(stdout: OutputWrapper, value: Any) -> None:
    """Print one line of JSON, or several on a terminal."""
    stdout.write(json.dumps(value, indent=2 if stdout.isatty() else None))


def print_lines(stdout: OutputWrapper, lines: Iterable[str]) -> int:
    """Print lines until there are no more, or until nobody reads on, as after `| head`.

    Returns how many.
    """
    count = 0
    try:
        for line in lines:
            stdout.write(line)
            count += 1
        stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's last flush
    return count


def describe_expiry(client: Client) -> dict[str, str]:
    """Return when the client's secret expires, or nothing if it never does."""
    expires_at = client_records.utc_text(expiry.of(client))
    return {"secret_expires_at": expires_at} if expires_at else {}
