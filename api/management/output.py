"""Print a secret that cannot be shown again."""

import json

from django.core.management.base import CommandError, OutputWrapper


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
