"""Hash secrets: slowly if a person chose them, fast if they are random.

Nobody can guess the 256 random bits of a generated secret, so a slow hash would only add cost. The
same holds for long secrets that were imported as random. A chosen secret may be "bar".
`PASSWORD_HASHERS` lists the slow hasher first, so Django uses it for every password it sets.
"""

import binascii
import hashlib
import re
import secrets
import string
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BasePasswordHasher,
    get_hashers,
    is_password_usable,
    mask_hash,
)
from django.utils.crypto import constant_time_compare

PREFIX = "adsk_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH, CHECKSUM_LENGTH = 43, 6  # base62 digits of 256 and of 32 bits
GENERATED = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")
MIN_RANDOM_LENGTH = 32  # characters: 128 bits of hexadecimal, and a UUID's 122 bits have 36
RANDOM = re.compile(rf"[!-~]{{{MIN_RANDOM_LENGTH},}}")  # no spaces, so no sentence of words


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _checksum(body: str) -> str:
    return _base62(binascii.crc32(body.encode()), CHECKSUM_LENGTH)


def generate_secret() -> str:
    """Return a new secret of 54 characters: `adsk_`, 256 random bits, a CRC-32 checksum.

    It has only letters, digits and one underscore: no encoding changes it, and a double click
    selects it. The prefix and the checksum let leak scanners recognise it.
    """
    body = PREFIX + _base62(secrets.randbits(256), RANDOM_LENGTH)
    return body + _checksum(body)


def is_generated(secret: str) -> bool:
    """Tell by its form alone whether `generate_secret` can have made a secret."""
    if not GENERATED.fullmatch(secret):
        return False
    return _checksum(secret[:-CHECKSUM_LENGTH]) == secret[-CHECKSUM_LENGTH:]


def may_be_random(secret: str) -> bool:
    """Tell by its form alone whether a secret can have a fast hash."""
    return bool(RANDOM.fullmatch(secret))


def readable_prefixes() -> tuple[str, ...]:
    """Return the prefixes of the hashes that a hasher of `PASSWORD_HASHERS` can read."""
    return tuple(f"{hasher.algorithm}$" for hasher in get_hashers())


def is_unreadable(encoded: str) -> bool:
    """Tell whether a stored hash is of a kind that no hasher can read, such as MD5.

    An empty or unusable password is not a hash.
    """
    is_hash = bool(encoded) and is_password_usable(encoded)
    return is_hash and not encoded.startswith(readable_prefixes())


# One hashing thread per process, which reuses its 19 MiB. Otherwise each server thread would
# allocate and keep 19 MiB. To use more cores, run more processes.
_slow_hashes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slow-hash")


class GeneratedSecretHasher(BasePasswordHasher):
    """SHA-256 of a random secret. It needs no salt, because no two secrets are the same."""

    algorithm = "generated_sha256"

    def salt(self) -> str:
        return ""

    def encode(self, password: str, salt: str) -> str:
        return f"{self.algorithm}${hashlib.sha256(password.encode()).hexdigest()}"

    def decode(self, encoded: str) -> dict[str, str]:
        algorithm, digest = encoded.split("$")
        return {"algorithm": algorithm, "hash": digest}

    def verify(self, password: str, encoded: str) -> bool:
        return constant_time_compare(encoded, self.encode(password, ""))

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        decoded = self.decode(encoded)
        return {"algorithm": decoded["algorithm"], "hash": mask_hash(decoded["hash"])}

    def must_update(self, encoded: str) -> bool:
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Do nothing: the cost is always the same."""


class ChosenSecretHasher(Argon2PasswordHasher):
    """Argon2id with the parameters that OWASP recommends: 19 MiB, two passes, one lane.

    It hashes generated secrets with the fast hasher. Otherwise Django's `User.check_password`
    would verify one and store it again with this hasher. That would lock the client out, because
    `credentials.check` compares generated secrets with fast hashes only. A secret imported as
    random would get a slow hash there, with which it still logs in.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        if is_generated(password):
            return GeneratedSecretHasher().encode(password, "")
        return _slow_hashes.submit(super().encode, password, salt).result()

    def verify(self, password: str, encoded: str) -> bool:
        return _slow_hashes.submit(super().verify, password, encoded).result()
