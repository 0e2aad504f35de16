"""Read the public keys that people and clients give us: PEM, certificates, JWKs and JWK Sets."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.utils import timezone

from api import jose
from api.jose import PrivateKeyError, PublicKey, UnusableKeyError

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
MAX_KEYS = 20  # of one client
MALFORMED = "Give a public key or a certificate in PEM, a JWK, or a JWK Set."


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A key, and the end of the certificate that it came in, if any."""

    key: PublicKey
    expires_at: datetime | None = None


def read(text: str) -> list[GivenKey]:
    """Read a key or several. Raises `UnusableKeyError`; the message never repeats the text."""
    if "PRIVATE KEY-----" in text:
        raise PrivateKeyError
    if blocks := [(block[1], block[0].encode()) for block in _PEM.finditer(text)]:
        return [_read_pem(label, block) for label, block in blocks]
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableKeyError(MALFORMED) from None
    if isinstance(given, dict) and "keys" in given:
        return read_set(given)
    return [GivenKey(jose.from_jwk(given))]


def check_number(number: int) -> None:
    """Refuse more keys than a client may have. Raises `UnusableKeyError`."""
    if number > MAX_KEYS:
        raise UnusableKeyError(f"A client has at most {MAX_KEYS} keys. Remove some first.")


def read_set(jwks: Any) -> list[GivenKey]:
    """Read a JWK Set, without its keys for encryption (RFC 7517 §5). Raises `UnusableKeyError`."""
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list) or not all(isinstance(jwk, dict) for jwk in members):
        raise UnusableKeyError("A JWK Set is an object whose `keys` is a list of JWKs.")
    check_number(len(members))  # before any is loaded: 64 KiB hold 700 keys
    if any(jwk.keys() & jose.SECRET_MEMBERS for jwk in members):
        raise PrivateKeyError
    found = [GivenKey(jose.from_jwk(jwk)) for jwk in members if jwk.get("use") != "enc"]
    if not found:
        raise UnusableKeyError("The JWK Set has no key that verifies signatures.")
    return found


def _read_pem(label: str, block: bytes) -> GivenKey:
    try:
        if label == "CERTIFICATE":
            return _read_certificate(x509.load_pem_x509_certificate(block))
        return GivenKey(jose.from_object(load_pem_public_key(block)))
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKeyError(MALFORMED) from None


def _read_certificate(certificate: x509.Certificate) -> GivenKey:
    """Take the key of a certificate. Its issuer does not matter: staff vouch for it."""
    expires_at = certificate.not_valid_after_utc
    if expires_at <= timezone.now():
        raise UnusableKeyError(f"The certificate expired on {expires_at:%Y-%m-%d}. Renew it.")
    return GivenKey(jose.from_object(certificate.public_key()), expires_at)
