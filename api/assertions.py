"""Parse and check signed assertions: who signed them, for whom, and when (RFC 7523 §3).

Nothing here depends on who signs. `client_keys.py` checks those that clients sign themselves.
Refusals are `BadCredentialsError`, whose reason is for the log only.
"""

import base64
import json
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from api import jose
from api.credentials import BadCredentialsError
from api.jose import PublicKey

MAX_LENGTH = 16 * 1024  # characters; platforms' tokens with many claims have a few thousand
MAX_TEXT = 1024  # characters of a claim that we read
LEEWAY = 30  # seconds that the clock of the signer may differ from ours
TRIES = 4  # keys that are tried if an assertion names none
# Header members that would let a stranger choose the key, or that change what a signature means.
REFUSED_MEMBERS = {"jku", "x5u", "jwk", "x5c", "crit", "b64"}

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Assertion:
    """A parsed assertion. Nobody may rely on its claims before `find_signer` has found its key.

    `typ` and `kid` are empty if the header has none.
    """

    algorithm: str
    typ: str
    kid: str
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    def text(self, name: str) -> str:
        """Return a claim that must be a text, not empty. Raises `BadCredentialsError`."""
        value = self.claims.get(name)
        if not _is_text(value):
            raise BadCredentialsError(f"assertion: no usable {name}")
        return str(value)

    def check_audience(self, accepted: Collection[str]) -> None:
        """Demand one audience, which is one of `accepted`. Raises `BadCredentialsError`.

        A second audience could replay the assertion here, so there must be none.
        """
        audience = self.claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        if not isinstance(audience, str) or audience not in accepted:
            raise BadCredentialsError("assertion: wrong aud, or several")

    def check_times(self, *, max_ahead: int) -> float:
        """Check `exp`, `nbf` and `iat`, and return `exp`. Raises `BadCredentialsError`.

        `exp` must be at most `max_ahead` seconds from now; the others must have passed.
        """
        now = time.time()
        expires_at = self._time("exp")
        if expires_at is None:
            raise BadCredentialsError("assertion: no exp")
        if expires_at <= now - LEEWAY:
            raise BadCredentialsError("assertion: expired")
        if expires_at > now + max_ahead + LEEWAY:
            raise BadCredentialsError("assertion: exp too far ahead")
        for name in ("nbf", "iat"):
            if (self._time(name) or 0) > now + LEEWAY:
                raise BadCredentialsError(f"assertion: {name} in the future")
        return expires_at

    def _time(self, name: str) -> float | None:
        if name not in self.claims:
            return None
        value: Any = self.claims[name]
        if type(value) not in {int, float} or not 0 <= value < 2**33:  # no bool, no NaN
            raise BadCredentialsError(f"assertion: {name} is not a time")
        return float(value)


def parse(text: str) -> Assertion:
    """Parse an assertion and check the form of its header. Raises `BadCredentialsError`."""
    if len(text) > MAX_LENGTH:
        raise BadCredentialsError("assertion: too long")
    form = _COMPACT.fullmatch(text)
    if not form:
        raise BadCredentialsError("assertion: malformed")
    header, claims = _json_object(form[1]), _json_object(form[2])
    algorithm = header.get("alg")
    if algorithm not in jose.ALGORITHMS:
        raise BadCredentialsError("assertion: unsupported alg")
    if header.keys() & REFUSED_MEMBERS:
        raise BadCredentialsError("assertion: forbidden header")
    typ, kid = header.get("typ", ""), header.get("kid", "")
    if not isinstance(typ, str) or not (kid == "" or _is_text(kid)):
        raise BadCredentialsError("assertion: malformed header")
    signed = text.rpartition(".")[0].encode()
    return Assertion(algorithm, typ, kid, claims, signed, _decode(form[3]))


def find_signer(assertion: Assertion, keys: Iterable[PublicKey]) -> PublicKey | None:
    """Return the key that signed, or `None`.

    Dummy keys stand in for missing ones, so every refusal takes as many verifications, and with RSA
    keys of the same size. Its time does not tell whether the client exists.
    """
    fitting = [key for key in keys if _fits(assertion, key)][:TRIES]
    signer = next((key for key in fitting if _verify(assertion, key)), None)
    if signer is None:
        for _ in range((1 if assertion.kid else TRIES) - len(fitting)):
            _verify(assertion, _dummy_for(assertion))
    return signer


def _fits(assertion: Assertion, key: PublicKey) -> bool:
    """Tell whether a key can have signed. An RSA signature is as long as its key."""
    if assertion.algorithm not in key.algorithms:
        return False
    length = len(assertion.signature)
    return not isinstance(key.loaded, rsa.RSAPublicKey) or (key.loaded.key_size + 7) // 8 == length


def _verify(assertion: Assertion, key: PublicKey) -> bool:
    return key.has_signed(assertion.signed, assertion.signature, assertion.algorithm)


def _dummy_for(assertion: Assertion) -> PublicKey:
    if assertion.algorithm[:2] in {"RS", "PS"}:
        bits = 8 * len(assertion.signature)
        return _dummy_rsa_key(bits if bits in jose.RSA_BITS else jose.RSA_BITS[0])
    return _dummy_key(assertion.algorithm)


@lru_cache(maxsize=64)
def _dummy_rsa_key(bits: int) -> PublicKey:
    modulus = (1 << bits) - 1  # as slow as any, and made at once
    return jose.from_object(rsa.RSAPublicNumbers(65537, modulus).public_key())


@cache
def _dummy_key(algorithm: str) -> PublicKey:
    if algorithm.startswith("Ed"):
        return jose.from_object(ed25519.Ed25519PrivateKey.generate().public_key())
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return jose.from_object(ec.generate_private_key(curve[algorithm]).public_key())


def _json_object(encoded: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(encoded))
    except (ValueError, RecursionError):
        raise BadCredentialsError("assertion: malformed") from None
    if not isinstance(value, dict):
        raise BadCredentialsError("assertion: malformed")
    return value


def _decode(encoded: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        raise BadCredentialsError("assertion: malformed") from None


def _is_text(value: Any) -> bool:
    """Tell whether a value is a text that databases can hold. JSON can express others."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "\0" in value:
        return False
    return value.encode(errors="ignore").decode() == value  # without lone surrogates
