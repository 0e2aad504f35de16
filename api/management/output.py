"""How a command shows a secret that nobody can read again."""

import json

from django.core.management.base import CommandError, OutputWrapper


def print_credentials(stdout: OutputWrapper, **shown: str) -> None:
    """Print credentials as one line of JSON; call this inside the transaction that makes them.

    Raises `CommandError`, which undoes them, where they cannot be printed.
    """
    try:
        stdout.write(json.dumps(shown))
        stdout.flush()
    except OSError as error:
        raise CommandError(
            f"Nothing is changed: the secret cannot be printed ({error})."
        ) from error
