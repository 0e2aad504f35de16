"""Hashes that other software made: PBKDF2, scrypt, bcrypt and Argon2, in PHC's or passlib's form.

`to_django` rewrites a hash so that one of Django's hashers, or one of the two here, can check it.
The client's first login replaces it by a hash of our own.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BasePasswordHasher,
    get_hashers_by_algorithm,
    mask_hash,
)
from django.utils.crypto import constant_time_compare

MAX_LENGTH = 128  # characters of the column
MAX_BYTES = 32  # of a hash that are kept; the first bytes of PBKDF2 and scrypt suffice
MAX_MEMORY = 256 * 1024 * 1024  # bytes that one check may take
MAX_PASSES = 16  # over that memory, for scrypt and Argon2
MAX_ITERATIONS = 10_000_000  # of PBKDF2
MAX_BCRYPT_COST = 16
DIGESTS = {"": "sha1", "-sha1": "sha1", "-sha256": "sha256", "-sha512": "sha512"}
PBKDF2 = re.compile(
    r"\$pbkdf2(?P<digest>|-sha1|-sha256|-sha512)\$(?:i=)?(?P<rounds>\d{1,9})(?:,l=\d+)?"
    r"\$(?P<salt>[^$]*)\$(?P<hash>[^$]+)"
)
SCRYPT = re.compile(
    r"\$scrypt\$ln=(?P<ln>[1-9]\d?),r=(?P<r>\d{1,4}),p=(?P<p>\d{1,4})\$(?P<salt>[^$]*)\$(?P<hash>[^$]+)"
)
BCRYPT = re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}")
ARGON2 = re.compile(r"\$argon2(id|i|d)\$(v=\d+\$)?m=\d{1,9},t=\d{1,4},p=\d{1,3}\$.+")


class UnreadableHashError(ValueError):
    """The hash is of a kind, or has parameters, that cannot be checked. The message says why."""


class _SaltedHasher(BasePasswordHasher):
    """A hasher whose salt is any bytes; Django's own take text only.

    The form is `algorithm$parameters$salt$hash`, with salt and hash in base64.
    """

    def derive(self, password: str, parameters: str, salt: bytes, length: int) -> bytes:
        raise NotImplementedError

    def encode(self, password: str, salt: str) -> str:
        raise NotImplementedError("New hashes are made by the first hasher only.")

    def decode(self, encoded: str) -> dict[str, Any]:
        algorithm, parameters, salt, digest = encoded.split("$")
        return {"algorithm": algorithm, "parameters": parameters, "salt": salt, "hash": digest}

    def verify(self, password: str, encoded: str) -> bool:
        decoded = self.decode(encoded)
        salt, expected = (base64.b64decode(decoded[name]) for name in ("salt", "hash"))
        computed = self.derive(password, decoded["parameters"], salt, len(expected))
        return constant_time_compare(computed, expected)

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        decoded = self.decode(encoded)
        return decoded | {name: mask_hash(decoded[name]) for name in ("salt", "hash")}

    def must_update(self, encoded: str) -> bool:
        return True

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Do nothing: `credentials.check` hashes for unknown clients by itself."""


class ForeignPBKDF2Hasher(_SaltedHasher):
    """PBKDF2; the parameters are the digest and the iterations, as in `sha512:25000`."""

    algorithm = "foreign_pbkdf2"

    def derive(self, password: str, parameters: str, salt: bytes, length: int) -> bytes:
        digest, rounds = parameters.split(":")
        return hashlib.pbkdf2_hmac(digest, password.encode(), salt, int(rounds), length)


class ForeignScryptHasher(_SaltedHasher):
    """scrypt; the parameters are the logarithm of n, and r and p, as in `14:8:1`."""

    algorithm = "foreign_scrypt"

    def derive(self, password: str, parameters: str, salt: bytes, length: int) -> bytes:
        ln, r, p = map(int, parameters.split(":"))
        limit = 2 * MAX_MEMORY
        return hashlib.scrypt(
            password.encode(), salt=salt, n=2**ln, r=r, p=p, maxmem=limit, dklen=length
        )


def to_django(encoded: str) -> str:
    """Return a hash in the form that Django's hashers read. Raises `UnreadableHashError`."""
    rewritten = _rewrite(encoded)
    if len(rewritten) > MAX_LENGTH:
        raise UnreadableHashError(f"The hash has more than {MAX_LENGTH} characters.")
    algorithm = rewritten.partition("$")[0]
    hasher = get_hashers_by_algorithm().get(algorithm)
    if hasher is None:
        raise UnreadableHashError("The hash is of an unknown kind.")
    try:
        decoded = hasher.decode(rewritten)
    except (ValueError, AssertionError, TypeError, IndexError):
        raise UnreadableHashError(f"The {algorithm} hash is malformed.") from None
    _check_cost(decoded)
    return rewritten


def _check_cost(decoded: Mapping[str, Any]) -> None:
    """Refuse a hash whose check would hold up all logins. Raises `UnreadableHashError`."""
    match decoded:
        case {"iterations": iterations}:
            _check_time(iterations, MAX_ITERATIONS)
        case {"block_size": r, "work_factor": n, "parallelism": p}:
            _check_memory(128 * r * (n + p), passes=p)
        case {"memory_cost": kibibytes, "time_cost": passes}:
            _check_memory(kibibytes * 1024, passes=passes)
        case {"work_factor": cost}:
            _check_time(cost, MAX_BCRYPT_COST)


def _check_time(number: int, most: int) -> None:
    if not 0 < number <= most:
        raise UnreadableHashError("A check of the hash would take too long.")


def _check_memory(size: int, *, passes: int) -> None:
    if size > MAX_MEMORY:
        raise UnreadableHashError("A check of the hash would take too much memory.")
    _check_time(size * passes, MAX_MEMORY * MAX_PASSES)


def _rewrite(encoded: str) -> str:
    if form := PBKDF2.fullmatch(encoded):
        _check_time(int(form["rounds"]), MAX_ITERATIONS)
        parameters = f"{DIGESTS[form['digest']]}:{int(form['rounds'])}"
        return _join(ForeignPBKDF2Hasher.algorithm, parameters, form["salt"], form["hash"])
    if form := SCRYPT.fullmatch(encoded):
        ln, r, p = int(form["ln"]), int(form["r"]), int(form["p"])
        _check_memory(128 * r * (2**ln + p), passes=p)
        return _join(ForeignScryptHasher.algorithm, f"{ln}:{r}:{p}", form["salt"], form["hash"])
    if BCRYPT.fullmatch(encoded):
        return f"bcrypt${encoded}"
    if ARGON2.fullmatch(encoded):
        return f"{Argon2PasswordHasher.algorithm}{encoded}"
    return encoded


def _join(algorithm: str, parameters: str, salt: str, digest: str) -> str:
    """Write the form of `_SaltedHasher`. Hash and salt are in base64, or in passlib's variant."""
    try:
        salt_bytes, digest_bytes = map(_decode, (salt, digest))
    except binascii.Error:
        raise UnreadableHashError("The hash is not in base64.") from None
    if len(digest_bytes) < 16:
        raise UnreadableHashError("The hash is too short.")
    kept = base64.b64encode(digest_bytes[:MAX_BYTES]).decode()
    return f"{algorithm}${parameters}${base64.b64encode(salt_bytes).decode()}${kept}"


def _decode(text: str) -> bytes:
    padded = text.replace(".", "+").rstrip("=")
    return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
