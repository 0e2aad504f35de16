"""Read the public keys in a file that a command names."""

import sys
from pathlib import Path

from django.core.management.base import CommandError

from api.jose import UnusableKeyError
from api.public_keys import MALFORMED, GivenKey, read

KEY_FILE = "a public key or certificate in PEM, a JWK or a JWK Set (- for standard input)"


def read_keys(file: str) -> list[GivenKey]:
    """Return the keys in a file, or in standard input if it is `-`. Raises `CommandError`."""
    try:
        return read(sys.stdin.read() if file == "-" else Path(file).read_text())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise CommandError(f"{file}: {MALFORMED}") from None
    except UnusableKeyError as error:
        raise CommandError(f"{file}: {error}") from error
