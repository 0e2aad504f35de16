"""Make, load and rotate the keys that sign and verify tokens (RFC 7517, RFC 7518).

Keys live in the database, so all processes and machines sign and verify alike. The private parts
are encrypted with a key derived from `SECRET_KEY`. A rotation first publishes the new key. It signs
only after every verifier has had time to fetch it. The old key verifies until its last token has
expired.

A process caches the keys and reads them again every `REFRESH`. It also does so when a token names
an unknown key, at most once per `RELOAD_INTERVAL`: forged key ids must not cost a query each.
"""

import base64
import json
import logging
import secrets
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from api.jose import encode, thumbprint, thumbprint_members
from api.models import SigningKey

JWKS_MAX_AGE = timedelta(minutes=5)
REFRESH = timedelta(seconds=10)
RELOAD_INTERVAL = timedelta(seconds=1)
LEEWAY = timedelta(seconds=10)  # how far the clocks of two machines may differ
PUBLISH_AHEAD = REFRESH + JWKS_MAX_AGE + LEEWAY
TOKEN_TYPE = "at+jwt"  # noqa: S105 (the `typ` of RFC 9068 §2.1)
RSA_BITS = 2048

_CURVES: dict[str, ec.EllipticCurve] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
_jws = jwt.PyJWS()
# Not --now: if only this machine has a wrong SECRET_KEY, that would end the keys of all machines.
REMEDY = (
    "If another SECRET_KEY encrypted the keys, add that one to SECRET_KEY_FALLBACKS. "
    "If there are no keys, `manage.py rotatekeys` makes one."
)
logger = logging.getLogger(__name__)


class NoSigningKeyError(Exception):
    """No key can sign: there is none, or another `SECRET_KEY` encrypted them."""


class RotationPendingError(Exception):
    """A new key is already published and does not sign yet."""


class UndecryptableKeyError(Exception):
    """The signing key was encrypted with a `SECRET_KEY` that this process does not have."""


@dataclass(frozen=True, eq=False, slots=True)
class Key:
    """A key in use. `header` is the encoded JOSE header of every token it signs."""

    kid: str
    algorithm: str
    implementation: jwt.algorithms.Algorithm
    header: str
    signing: Any
    verifying: Any
    public_jwk: dict[str, str]
    signs_from: datetime
    verifies_until: datetime | None

    def verifies(self) -> bool:
        return self.verifies_until is None or timezone.now() < self.verifies_until


class _Keyring:
    """The keys as this process last read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded_at = 0.0  # of `time.monotonic()`
        self._keys: dict[str, Key] | None = None  # by header; the last to sign comes first

    def keys(self) -> dict[str, Key]:
        if self._keys is None or time.monotonic() - self._loaded_at > REFRESH.total_seconds():
            self._reload()
        return self._keys or {}

    def find(self, header: str) -> Key | None:
        key = self.keys().get(header)
        if key is None and time.monotonic() - self._loaded_at > RELOAD_INTERVAL.total_seconds():
            self._reload()
            key = self.keys().get(header)
        return key

    def forget(self) -> None:
        self._keys = None

    def _reload(self) -> None:
        """Read the keys again.

        While the database is slow or down, only one thread at a time tries. The other threads
        use the cached keys, and so does this one if it fails.
        """
        if not self._lock.acquire(blocking=self._keys is None):
            return
        try:
            self._loaded_at = time.monotonic()
            known = {key.kid: key for key in (self._keys or {}).values()}
            rows = SigningKey.objects.filter(unexpired())
            loaded = (_load(row, known.get(row.kid)) for row in rows)
            self._keys = {key.header: key for key in loaded if key}
        except (DatabaseError, InterfaceError):
            if self._keys is None:
                raise
            logger.warning("The signing keys could not be read; using the cached ones.")
        finally:
            self._lock.release()


_keyring = _Keyring()
forget = _keyring.forget


def signing_key() -> Key:
    """Return the key that signs now. Raises `NoSigningKeyError`.

    It is the latest key whose `signs_from` has passed. If there is none, it is the first key: a
    machine whose clock is ahead of ours made it.
    """
    usable = [key for key in _keyring.keys().values() if key.signing]
    if not usable:
        raise NoSigningKeyError(f"No key can sign. {REMEDY}")
    now = timezone.now()
    return next((key for key in usable if key.signs_from <= now), usable[-1])


def find(header: str) -> Key | None:
    """Return the key with this encoded token header, or `None` if unknown or expired."""
    key = _keyring.find(header)
    return key if key and key.verifies() else None


def jwks() -> dict[str, list[dict[str, str]]]:
    """Return the public keys as a JWK Set (RFC 7517 §5). HMAC keys have no public part."""
    ring = _keyring.keys().values()
    return {"keys": [key.public_jwk for key in ring if key.public_jwk and key.verifies()]}


def rotate(*, immediately: bool = False) -> SigningKey:
    """Make a new key with the algorithm of `JWT_ALGORITHM` and return it.

    It signs after `PUBLISH_AHEAD`. The other keys verify until their last token has expired. With
    `immediately`, for a leaked key, the new key signs now and all others end now, also on machines
    with a slow clock.
    Raises `RotationPendingError` if an earlier rotation is still under way. Raises
    `UndecryptableKeyError` if the other processes seem to use another `SECRET_KEY`.
    """
    with transaction.atomic():
        # A second rotation waits here; its next query sees the result of the first.
        list(SigningKey.objects.select_for_update().values_list("kid"))
        now = timezone.now()
        others = SigningKey.objects.filter(unexpired())
        pending = others.filter(signs_from__gt=now).first()
        if pending and not immediately:
            raise RotationPendingError(
                f"Key {pending.kid} is published and signs from {pending.signs_from:%H:%M:%S} UTC."
            )
        newest = others.first()
        if newest and not immediately and _decrypt(newest) is None:
            raise UndecryptableKeyError(
                "The signing key was encrypted with another SECRET_KEY, which other machines may "
                "still use. Add that one to SECRET_KEY_FALLBACKS. If it is lost, see "
                "docs/deploy.md."
            )
        signs_from = now if immediately or not newest else now + PUBLISH_AHEAD
        last_expiry = signs_from + api_settings.ACCESS_TOKEN_LIFETIME + LEEWAY
        if immediately:
            others.update(verifies_until=now - LEEWAY)
        else:
            others.filter(verifies_until=None).update(verifies_until=last_expiry)
        key = _generate(settings.JWT_ALGORITHM)
        key.signs_from = signs_from
        key.save(force_insert=True)
    forget()
    return key


def ensure_signing_key(**_kwargs: Any) -> None:
    """Make the first key, or one for a changed `JWT_ALGORITHM`. Runs after `migrate`."""
    if SigningKey._meta.db_table not in connection.introspection.table_names():
        return
    newest = SigningKey.objects.filter(unexpired()).first()
    if newest is None or newest.algorithm != settings.JWT_ALGORITHM:
        try:
            rotate()
        except (RotationPendingError, UndecryptableKeyError) as error:
            logger.warning("No key for the new JWT_ALGORITHM was made: %s", error)


def derive(secret_key: str, purpose: str) -> bytes:
    """Derive 32 bytes from a `SECRET_KEY`, different for each purpose (HKDF, RFC 5869)."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"authdemo {purpose}".encode())
    return hkdf.derive(secret_key.encode())


def _fernet() -> MultiFernet:
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(derive(key, "signing keys"))) for key in secret_keys]
    )


def unexpired() -> Q:
    """Select the keys that sign or verify, now or later."""
    return Q(verifies_until=None) | Q(verifies_until__gt=timezone.now())


def _generate(algorithm: str) -> SigningKey:
    private: Any
    if algorithm in _CURVES:
        private = ec.generate_private_key(_CURVES[algorithm])
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm.startswith("HS"):
        private = secrets.token_bytes(int(algorithm[2:]) // 8)  # RFC 7518 §3.2
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    implementation = _jws.get_algorithm_by_name(algorithm)
    private_jwk = implementation.to_jwk(private, as_dict=True)
    kid = thumbprint(private_jwk)
    public_jwk = {}
    if private_jwk["kty"] != "oct":
        public_jwk = thumbprint_members(private_jwk)
        public_jwk |= {"kid": kid, "use": "sig", "alg": algorithm}
    return SigningKey(
        kid=kid,
        algorithm=algorithm,
        private_jwk=_fernet().encrypt(json.dumps(private_jwk).encode()).decode(),
        public_jwk=public_jwk,
    )


def _decrypt(row: SigningKey) -> str | None:
    """Return a key's private JWK, or `None` if another `SECRET_KEY` encrypted it."""
    try:
        return _fernet().decrypt(row.private_jwk).decode()
    except InvalidToken:
        return None


def _load(row: SigningKey, known: Key | None) -> Key | None:
    """Build the key from its row, or return `None` if it can neither sign nor verify."""
    if known:
        if (known.signs_from, known.verifies_until) == (row.signs_from, row.verifies_until):
            return known
        return replace(known, signs_from=row.signs_from, verifies_until=row.verifies_until)
    implementation = _jws.get_algorithm_by_name(row.algorithm)
    private_jwk = _decrypt(row)
    if private_jwk is None:
        logger.error("Signing key %s was encrypted with another SECRET_KEY.", row.kid)
    signing = private_jwk and implementation.from_jwk(private_jwk)
    verifying = implementation.from_jwk(row.public_jwk) if row.public_jwk else signing
    if verifying is None:
        return None
    header = {"alg": row.algorithm, "kid": row.kid, "typ": TOKEN_TYPE}
    return Key(
        kid=row.kid,
        algorithm=row.algorithm,
        implementation=implementation,
        header=encode(json.dumps(header, separators=(",", ":")).encode()),
        signing=signing,
        verifying=verifying,
        public_jwk=row.public_jwk,
        signs_from=row.signs_from,
        verifies_until=row.verifies_until,
    )
