"""How secrets are stored: a slow hash for those that people choose, a fast one for ours.

A generated secret has 256 random bits. Nobody guesses it, however fast the hash, so a slow hash
would add nothing but cost; a chosen one may be "bar". `PASSWORD_HASHERS` lists the slow one first,
which makes it the one that Django gives to every password it sets.
"""

import binascii
import hashlib
import re
import secrets
import string
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher, BasePasswordHasher, mask_hash
from django.utils.crypto import constant_time_compare

PREFIX = "adsk_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH, CHECKSUM_LENGTH = 43, 6  # base62 digits of 256 and of 32 bits
GENERATED = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


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

    Letters and digits only, so that no encoding touches it and a double click selects it; the
    prefix and the checksum let a leak scanner tell it from other text.
    """
    body = PREFIX + _base62(secrets.randbits(256), RANDOM_LENGTH)
    return body + _checksum(body)


def is_generated(secret: str) -> bool:
    """Tell by its form alone whether a secret is one that `generate_secret` can have made."""
    if not GENERATED.fullmatch(secret):
        return False
    return _checksum(secret[:-CHECKSUM_LENGTH]) == secret[-CHECKSUM_LENGTH:]


# A process computes one slow hash at a time, in one thread, which uses its 19 MiB again and again.
# The many threads of a server would each take as much and keep it; cores are used by processes.
_slow_hashes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slow-hash")


class GeneratedSecretHasher(BasePasswordHasher):
    """SHA-256 of a generated secret, unsalted: no two are ever the same."""

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
        """Do nothing: there is one cost, and so no gap to close."""


class ChosenSecretHasher(Argon2PasswordHasher):
    """Argon2id with the parameters that OWASP recommends: 19 MiB, two passes, one lane.

    A generated secret is given to the fast hasher even here. Otherwise Django's own
    `User.check_password` would, after it has verified one, store it again with this hasher, and the
    client would be locked out: a generated secret is only ever looked for among the fast hashes.
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
